import { createHash } from "node:crypto";
import type { Options } from "../config.ts";

/** Who a source is: several projects may share a database, and connectors in them a name. */
export interface Owner {
  readonly name: string;
  readonly project: string;
}

/** What a source calls its things in the database. */
export interface Names {
  /** `PROJECT/CONNECTOR`. */
  readonly owner: string;
  readonly slot: string;
  readonly publication: string;
  /** The publication of `insertOnly` tables: their updates and deletes must not need an identity. Its dash keeps it apart from any default name. */
  readonly inserts: string;
}

const maxBytes = 63;

/** The configured names, or those made of the connector's: injective, and short enough for PostgreSQL. */
export function namesOf(
  options: Pick<Options, "slot" | "publication">,
  { name, project }: Owner,
): Names {
  const slot = options.slot ?? defaultSlot(project === "sluice" ? name : `${project}_${name}`);
  // PostgreSQL cuts a longer name, with a notice only, and would not find it under the full one.
  const publication = cut(options.publication ?? slot, maxBytes);
  return {
    owner: `${project}/${name}`,
    slot,
    publication,
    inserts: `${cut(publication, maxBytes - 8)}-inserts`,
  };
}

function defaultSlot(connector: string): string {
  const plain = `sluice_${connector.replaceAll(/[^a-z0-9_]/g, "_")}`;
  if (plain.length <= maxBytes && /^[a-z0-9_-]+$/.test(connector)) return plain;
  const hash = createHash("sha256").update(connector).digest("hex").slice(0, 8);
  return `${plain.slice(0, maxBytes - 9)}_${hash}`;
}

/** The longest start of whole characters that fits. */
function cut(text: string, bytes: number): string {
  let kept = "";
  for (const character of text) {
    if (Buffer.byteLength(kept + character) > bytes) break;
    kept += character;
  }
  return kept;
}
