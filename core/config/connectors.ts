import { resolve } from "node:path";
import type { z } from "zod";
import type { Connector, Finding } from "../connector.ts";
import { hashOf } from "./canonical.ts";
import { kinds, type Catalog, type Kind } from "./catalog.ts";
import { below, expandedAt, findingAt, findingsAt, writtenAt, type Spot } from "./document.ts";
import { withExtensions } from "./extensions.ts";
import { connectorFile } from "./file.ts";
import { problemsOf } from "./issues.ts";
import { mapMarked, redact } from "./marks.ts";
import { nearest } from "./nearest.ts";
import type { ResolvedConnector, Stage } from "./pipeline.ts";
import { resolveConnector } from "./resolve.ts";
import { defOf, unwrapped } from "./schema-def.ts";
import { typed } from "./typed.ts";

/** A connector with the places its parts were written at. */
export interface Placed<C extends ResolvedConnector = ResolvedConnector> {
  readonly connector: C;
  readonly spot: Spot;
  /** One a stage, in order. */
  readonly stages: readonly Spot[];
}

/** Makes of one connector object what the runtime runs; `undefined` when something is wrong with it. */
export async function placeConnector(
  spot: Spot,
  catalog: Catalog,
  findings: Finding[],
): Promise<Placed | undefined> {
  const read = reader(catalog, findings);
  const kind = kindOf(spot, findings);
  switch (kind) {
    case undefined:
      return undefined;
    case "source": {
      const file = parse(connectorFile.source, spot, findings);
      const own = await read("source", spot, "source", file?.name);
      if (!file || !own) return undefined;
      const { connector: source, config } = own;
      const { name, initialState, to, onGap, durability } = file;
      return {
        connector: {
          kind,
          name,
          initialState,
          source,
          config,
          to,
          onGap,
          ...(durability && { durability }),
        },
        spot,
        stages: [],
      };
    }
    case "transform": {
      const file = parse(connectorFile.transform, spot, findings);
      const stages = await readStages(spot, read, file?.name);
      const own = await read("transform", spot, "transform", file?.name);
      if (!file || !own || !stages) return undefined;
      const { to } = file;
      const transforms = [...stages.map(({ stage }) => stage), toStage(file.transform, own)];
      return {
        connector: { kind, ...consumerOf(file), transforms, to },
        spot,
        stages: [...stages.map((one) => one.spot), spot],
      };
    }
    case "sink": {
      const file = parse(connectorFile.sink, spot, findings);
      const own = await read("sink", spot, "sink", file?.name);
      const stages = await readStages(spot, read, file?.name, own?.connector.inherit);
      if (!file || !own || !stages) return undefined;
      const { connector: sink, config } = own;
      const transforms = stages.map(({ stage }) => stage);
      return {
        connector: { kind, ...consumerOf(file), transforms, sink, config },
        spot,
        stages: stages.map((one) => one.spot),
      };
    }
  }
}

/** What a sink and a transform between topics have in common. */
function consumerOf(
  file: z.output<typeof connectorFile.sink> | z.output<typeof connectorFile.transform>,
) {
  const { name, initialState, from, filter, retry, onPoison, whenFull } = file;
  return { name, initialState, from, ...(filter && { filter }), retry, onPoison, whenFull };
}

function kindOf(spot: Spot, findings: Finding[]): Kind | undefined {
  const value = expandedAt(spot);
  const complain = (code: string, message: string, fix: string) =>
    findings.push(findingAt(spot, { path: [], code, message, fix }));
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    complain(
      "config.wrong-type",
      "a connector must be an object.",
      'Write { "name": …, "source": …, … }.',
    );
    return undefined;
  }
  const [kind, ...more] = kinds.filter((one) => Object.hasOwn(value, one));
  if (kind && more.length === 0) return kind;
  if (kind) {
    const named = [kind, ...more].map((one) => `"${one}"`).join(" and ");
    complain(
      "config.many-kinds",
      `a connector is one thing, but this one says ${named}.`,
      "Make each a connector of its own; transforms of a sink go to its transforms.",
    );
    return undefined;
  }
  const slip = Object.keys(value).find((key) => nearest(key, kinds));
  complain(
    "config.missing",
    "a connector must say what it is.",
    slip
      ? `Rename ${JSON.stringify(slip)} to "${nearest(slip, kinds)}".`
      : 'Add "source", "transform" or "sink".',
  );
  return undefined;
}

/** Parses what is written at a spot; its findings go out. */
function parse<S extends z.ZodType>(
  schema: S,
  spot: Spot,
  findings: Finding[],
): z.output<S> | undefined {
  const written = writtenAt(spot);
  const parsed = schema.safeParse(typed(schema, written, expandedAt(spot)));
  if (parsed.success) return parsed.data;
  findings.push(...findingsAt(spot, problemsOf(parsed.error, { schema, written }), nameAt(spot)));
  return undefined;
}

type Own<K extends Kind> = {
  readonly connector: Extract<Connector, { kind: K }>;
  readonly config: unknown;
  readonly configHash: string;
};

type Read = <K extends Kind>(
  kind: K,
  spot: Spot,
  key: string,
  owner: string | undefined,
  inherited?: { readonly keys: readonly string[]; readonly from: Spot },
) => Promise<Own<K> | undefined>;

/** Reads what `spot` names under `key` and its `config`: loads the connector, parses by its schema. */
function reader(catalog: Catalog, findings: Finding[]): Read {
  return async (kind, spot, key, owner = nameAt(spot), inherited) => {
    const type = expandedAt(below(spot, key));
    if (typeof type !== "string" || type === "") return undefined; // found by the file's schema
    const { dir } = spot.document;
    const found = await resolveConnector(kind, type, { dir, catalog });
    if ("problem" in found) {
      findings.push(...findingsAt(below(spot, key), [found.problem], owner));
      return undefined;
    }
    const { connector } = found;
    const place = below(spot, "config");
    const value = expandedAt(place) ?? {};
    if (value === null || typeof value !== "object") return undefined; // found by the file's schema
    const defaults = inherited
      ? inherit(connector.config, inherited.keys, inherited.from)
      : { value: {}, written: {} };
    const written = { ...defaults.written, ...(writtenAt(place) as object | undefined) };
    const expanded = typed(connector.config, written, { ...defaults.value, ...value });
    const parsed = await connector.config.safeParseAsync(expanded);
    if (!parsed.success) {
      const problems = problemsOf(parsed.error, { schema: connector.config, written });
      findings.push(...findingsAt(place, problems, owner));
      return undefined;
    }
    const extended = await withExtensions(connector.config, parsed.data, { dir, written });
    if (extended.problems.length > 0) {
      findings.push(...findingsAt(place, extended.problems, owner));
      return undefined;
    }
    return {
      connector,
      // Hashed before paths become absolute and without secrets: the same pipeline on another
      // machine, or after a key was rotated, is the same lineage.
      configHash: hashOf(redact(connector.config, extended.portable)),
      config: mapMarked(connector.config, extended.config, "path", (path) =>
        typeof path === "string" ? resolve(dir, path) : path,
      ),
    };
  };
}

async function readStages(
  spot: Spot,
  read: Read,
  owner: string | undefined,
  inherit?: readonly string[],
): Promise<readonly { readonly stage: Stage; readonly spot: Spot }[] | undefined> {
  const list = expandedAt(below(spot, "transforms")) ?? [];
  if (!Array.isArray(list)) return undefined; // found by the file's schema
  const inherited = inherit && { keys: inherit, from: below(spot, "config") };
  const stages: { stage: Stage; spot: Spot }[] = [];
  for (const at of list.keys()) {
    const place = below(spot, "transforms", at);
    const own = await read("transform", place, "use", owner ?? nameAt(spot), inherited);
    const use = expandedAt(below(place, "use"));
    if (own && typeof use === "string") stages.push({ stage: toStage(use, own), spot: place });
  }
  return stages.length === list.length ? stages : undefined;
}

function toStage(use: string, { connector, config, configHash }: Own<"transform">): Stage {
  return { use, transform: connector, config, configHash };
}

/** The sink's settings that a transform has too. */
function inherit(
  schema: z.ZodType,
  keys: readonly string[],
  from: Spot,
): { readonly value: object; readonly written: object } {
  const shape = defOf(unwrapped(schema)).shape ?? {};
  const wanted = keys.filter((key) => Object.hasOwn(shape, key));
  const pick = (read: (spot: Spot) => unknown) =>
    Object.fromEntries(
      wanted
        .map((key) => [key, read(below(from, key))] as const)
        .filter(([, value]) => value !== undefined),
    );
  return { value: pick(expandedAt), written: pick(writtenAt) };
}

function nameAt(spot: Spot): string | undefined {
  const name = writtenAt(below(spot, "name"));
  return typeof name === "string" && name !== "" ? name : undefined;
}
