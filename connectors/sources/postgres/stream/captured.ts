import { ConfigError, z, type Log, type StateStore } from "sluice";
import type { Gathered } from "./batch.ts";
import { clearOf, type Place } from "./events.ts";
import {
  snapshotRelation,
  streamRelation,
  type Relation,
  type RelationContext,
} from "./relation.ts";
import type { Session } from "../session.ts";
import { qualified, shown } from "../setup/identifier.ts";
import type { Table } from "../setup/tables.ts";
import type { Types } from "../values/types.ts";
import type { Window } from "../snapshot/window.ts";
import type { Relation as RelationMessage } from "../wire/decode.ts";

/** A relation of the stream that is captured. */
export interface Known {
  readonly relation: Relation;
  /** Chunks of its table that wait for their place in the stream. */
  readonly windows: ReadonlySet<Window>;
  /** It is a partition, and its table the root. */
  readonly isPartition: boolean;
}

/** The captured tables as they are now, and as the stream describes them. */
export interface Captured {
  readonly relation: (oid: number) => Known | undefined;
  /** A relation message: asks the catalog only about what it cannot know, its types and its root. */
  readonly learn: (
    message: RelationMessage,
    at: { readonly below: string; readonly place: Place } | undefined,
    batch: Gathered,
  ) => void | Promise<void>;
  readonly tables: () => readonly Table[];
  readonly table: (name: string) => Table | undefined;
  readonly snapshotRelation: (table: Table) => Relation;
  readonly refresh: () => Promise<void>;
  readonly watch: (name: string, window: Window) => () => void;
  /** A table must be read again, for what the stream did not say. */
  readonly resnapshot: (name: string, why: string, batch: Gathered) => void;
}

const shape = z.object({
  oid: z.number(),
  columns: z.array(z.tuple([z.string(), z.number(), z.number()])),
});
type Shape = z.output<typeof shape>;
const shapePrefix = "shape/";
export const shapeKey = (table: string) => shapePrefix + table;

export async function openCaptured(context: {
  readonly session: Session;
  readonly state: StateStore;
  readonly types: Types;
  /** A new slot: the shapes of an earlier one are void. */
  readonly isNew: boolean;
  readonly list: () => Promise<readonly Table[]>;
  readonly relations: Omit<RelationContext, "types">;
  readonly onSchemaChange: "warn" | "resnapshot";
  /** A table must be read again, for what the stream did not say. */
  readonly resnapshot: (name: string, why: string, batch: Gathered) => void;
  readonly log: Log;
}): Promise<Captured> {
  const { session, state, types, list, resnapshot, onSchemaChange, log } = context;
  const relations: RelationContext = { ...context.relations, types };
  const entries = new Map<number, Known | undefined>();
  const windows = new Map<string, Set<Window>>();
  const shapes = new Map<string, Shape>();
  for await (const page of context.isNew ? [] : state.scan(shapePrefix))
    for (const { key, value } of page)
      shapes.set(key.slice(shapePrefix.length), shape.parse(value));
  let tables = await list();

  const find = (message: {
    readonly oid: number;
    readonly schema: string;
    readonly name: string;
  }) => {
    const root = tables.find(({ partitions }) => partitions.some(({ oid }) => oid === message.oid));
    if (root) return { table: root, isPartition: true };
    const table = tables.find((one) => shown(one) === shown(message));
    return table && { table, isPartition: false };
  };
  const windowsOf = (name: string): Set<Window> => {
    const known = windows.get(name) ?? new Set<Window>();
    windows.set(name, known);
    return known;
  };
  const refresh = async () => {
    const now = await list();
    if (now.some(({ columns }) => columns.some(({ type }) => !types.knows(type))))
      await types.refresh(session);
    tables = now;
  };

  const install = (
    message: RelationMessage,
    found: { readonly table: Table; readonly isPartition: boolean },
    at: { readonly below: string; readonly place: Place } | undefined,
    batch: Gathered,
  ) => {
    const { table, isPartition } = found;
    const name = shown(table);
    // Its old rows then come whole in form, with NULL for every column outside the partition's own identity.
    if (isPartition && table.identity === "f" && message.identity !== "f")
      throw new ConfigError(
        `postgres: partition ${shown(message)} has another replica identity than ${name}.`,
        {
          code: "postgres.partition-identity",
          fix: `Run: ALTER TABLE ${qualified(message)} REPLICA IDENTITY FULL;`,
        },
      );
    const relation = streamRelation(message, table, relations);
    const known: Known = { relation, windows: windowsOf(name), isPartition };
    entries.set(message.oid, known);
    if (isPartition) return;
    const before = shapes.get(name);
    const now: Shape = {
      oid: message.oid,
      columns: message.columns.map(({ name, type, typmod }) => [name, type, typmod]),
    };
    if (before && JSON.stringify(before) === JSON.stringify(now)) return;
    shapes.set(name, now);
    batch.write({ key: shapeKey(name), value: now });
    // What was read meanwhile may have another shape.
    for (const window of known.windows) window.spoil();
    if (!before) return;
    if (before.oid !== now.oid && at) {
      // Dropped and made again under its name: the old rows are gone, and nothing said so.
      batch.add(clearOf({ source: relation.source, reason: "drop", ...at }), 0);
      return resnapshot(name, "it was dropped and created again", batch);
    }
    const changed = now.columns.filter(
      ([column, ...type]) =>
        !before.columns.some(([other, ...old]) => other === column && String(old) === String(type)),
    );
    if (changed.some(([column]) => table.key.some((key) => key.name === column)))
      return resnapshot(name, "its key changed, and so did the texts of its keys", batch);
    if (changed.length === 0) return;
    const columns = changed.map(([column]) => column);
    if (onSchemaChange === "resnapshot")
      return resnapshot(name, `columns changed: ${columns.join(", ")}`, batch);
    log.warn(
      { table: name, columns },
      "columns changed: rows not touched since keep their old values in the index; `sluice snapshot` refreshes them",
    );
  };

  return {
    relation: (oid) => entries.get(oid),
    learn: (message, at, batch) => {
      const found = find(message);
      const isKnown = message.columns.every(({ type }) => types.knows(type));
      if (found && isKnown && hasColumns(found.table, message))
        return install(message, found, at, batch);
      if (!found && entries.has(message.oid)) return;
      return (async () => {
        await refresh();
        if (!isKnown) await types.refresh(session);
        const now = find(message);
        if (now) install(message, now, at, batch);
        else {
          entries.set(message.oid, undefined);
          log.debug({ table: shown(message) }, "a published table that is not captured: ignored");
        }
      })();
    },
    tables: () => tables,
    table: (name) => tables.find((one) => shown(one) === name),
    snapshotRelation: (table) => snapshotRelation(table, relations),
    refresh,
    resnapshot,
    watch: (name, window) => {
      const all = windowsOf(name);
      all.add(window);
      return () => void all.delete(window);
    },
  };
}

/** The catalog's view is not older than the stream's. */
function hasColumns(table: Table, message: RelationMessage): boolean {
  return table.key.every(({ name }) => message.columns.some((column) => column.name === name));
}
