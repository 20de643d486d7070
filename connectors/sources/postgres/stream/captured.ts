import type { Finding, Log, StateStore, StateWrite } from "sluice";
import { isDeepStrictEqual } from "node:util";
import type { Gathered } from "./batch.ts";
import { clearOf, type Place } from "./events.ts";
import {
  snapshotRelation,
  streamRelation,
  type Relation,
  type RelationContext,
} from "./relation.ts";
import {
  changedColumns,
  isOtherKey,
  outdated,
  partitionChanges,
  shape,
  shapeKey,
  shapeOfRelation,
  shapeOfTable,
  shapePrefix,
  type Shape,
} from "./shape.ts";
import type { Session } from "../session.ts";
import { qualified, shown } from "../setup/identifier.ts";
import type { KeyColumn, Table } from "../setup/tables.ts";
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

/** What the catalog says now. */
export interface Listed {
  /** Those that can be followed. */
  readonly tables: readonly Table[];
  /** Those that are there and named, and cannot be followed now, by name: why. */
  readonly stopped: ReadonlyMap<string, Finding>;
}

/** The captured tables as they are now, and as the stream describes them. Named as `shown` does. */
export interface Captured {
  readonly relation: (oid: number) => Known | undefined;
  /** A relation message: asks the catalog only about what it cannot know, its types and its root. */
  readonly learn: (
    message: RelationMessage,
    at: { readonly below: string; readonly place: Place } | undefined,
  ) => void | Promise<void>;
  readonly tables: () => readonly Table[];
  readonly stopped: () => Listed["stopped"];
  readonly table: (name: string) => Table | undefined;
  readonly snapshotRelation: (table: Table) => Relation;
  readonly refresh: () => Promise<void>;
  readonly watch: (name: string, window: Window) => () => void;
  /** A table must be read again, for what the stream did not say. */
  readonly resnapshot: (name: string, why: string) => void;
  /** Tables whose records were made of something else than what the catalog has now: why. */
  readonly outdated: () => readonly (readonly [name: string, why: string])[];
  /**
   * Looks at tables that are about to be read anew. What it returns is called at the place in the
   * stream from where on they are, and tells what to remember.
   */
  readonly recast: (names: readonly string[]) => Promise<() => readonly StateWrite[]>;
  /** Tables that lost partitions since they were read: their names, and whose rows went without an event. */
  readonly lostPartitions: () => readonly (readonly [name: string, lost: readonly string[]])[];
  /** The table is gone for good. */
  readonly forget: (name: string) => StateWrite;
}

/** What is common to a table and its partitions. */
interface Tree {
  readonly windows: Set<Window>;
  /** Relations whose rows cannot be mapped to records: none of the table's are taken. */
  readonly unmapped: Set<number>;
}

export async function openCaptured(context: {
  readonly session: Session;
  readonly state: StateStore;
  readonly types: Types;
  readonly batch: Gathered;
  /** A new slot: the shapes of an earlier one are void. */
  readonly isNew: boolean;
  readonly list: () => Promise<Listed>;
  readonly relations: Omit<RelationContext, "types">;
  readonly onSchemaChange: "warn" | "resnapshot";
  readonly resnapshot: (name: string, why: string) => void;
  /** The catalog was looked at again. */
  readonly refreshed: () => void;
  readonly log: Log;
}): Promise<Captured> {
  const { session, state, types, batch, list, resnapshot, refreshed, onSchemaChange, log } =
    context;
  const relations: RelationContext = { ...context.relations, types };
  const entries = new Map<number, Known & Tree>();
  /** Published and not captured, when the catalog was last looked at. */
  const ignored = new Map<number, { readonly message: RelationMessage; readonly look: number }>();
  const trees = new Map<string, Tree>();
  const shapes = new Map<string, Shape>();
  for await (const page of context.isNew ? [] : state.scan(shapePrefix))
    for (const { key, value } of page)
      shapes.set(key.slice(shapePrefix.length), shape.parse(value));
  let looks = 0;
  let listed = await list();

  const refresh = async () => {
    const now = await list();
    if (now.tables.some(({ columns }) => columns.some(({ type }) => !types.knows(type))))
      await types.refresh(session);
    listed = now;
    looks += 1;
    refreshed();
  };

  const table = (name: string) => listed.tables.find((one) => shown(one) === name);
  const find = (message: RelationMessage) => {
    const root = listed.tables.find(({ partitions }) =>
      partitions.some(({ oid }) => oid === message.oid),
    );
    if (root) return { table: root, isPartition: true };
    const found = table(shown(message));
    return found && { table: found, isPartition: false };
  };
  const treeOf = (name: string): Tree => {
    const tree = trees.get(name) ?? { windows: new Set(), unmapped: new Set() };
    trees.set(name, tree);
    return tree;
  };

  const remember = (name: string, now: Shape) => {
    shapes.set(name, now);
    batch.write({ key: shapeKey(name), value: now });
  };

  /** The catalog is not older than the message, and agrees with it. */
  const fits = (found: Table, message: RelationMessage) => {
    const names = new Set([...found.columns.map(({ name }) => name), ...found.generated]);
    return (
      streamRelation(message, found, relations) !== undefined &&
      message.columns.every(
        ({ name, type }) => types.knows(type) && (found.hasColumnList || names.has(name)),
      )
    );
  };

  const unmapped = (message: RelationMessage, found: Table) => {
    const name = shown(found);
    treeOf(name).unmapped.add(message.oid);
    log.warn(
      {
        code: "postgres.identity-lost",
        table: shown(message),
        fix: `Run: ALTER TABLE ${qualified(message)} REPLICA IDENTITY ${found.identity === "f" ? "FULL" : "DEFAULT"};`,
      },
      "its replica identity does not cover the table's key: the table stops until it does, and is read again then",
    );
    resnapshot(name, "its replica identity did not cover its key");
  };

  const install = (
    message: RelationMessage,
    found: { readonly table: Table; readonly isPartition: boolean },
    at?: { readonly below: string; readonly place: Place },
  ) => {
    const { isPartition } = found;
    const name = shown(found.table);
    const before = shapes.get(name);
    const relation =
      // Its old rows then come whole in form, with NULL for every column outside the partition's own identity.
      isPartition && found.table.identity === "f" && message.identity !== "f"
        ? undefined
        : (streamRelation(message, found.table, relations) ??
          // Log from before a key changed is read by the key of that time.
          (before && streamRelation(message, keyedAs(before, found.table), relations)));
    if (!relation) return unmapped(message, found.table);
    const tree = treeOf(name);
    tree.unmapped.delete(message.oid);
    ignored.delete(message.oid);
    entries.set(message.oid, { relation, ...tree, isPartition });
    if (isPartition) return;
    left(message.oid, name);
    const now = shapeOfRelation(message.oid, relation, before ?? shapeOfTable(found.table));
    if (isDeepStrictEqual(before, now)) return;
    remember(name, now);
    // What was read meanwhile may have another shape.
    for (const window of tree.windows) window.spoil();
    if (!before) return;
    if (before.oid !== now.oid) {
      // Dropped and made again under its name: the old rows are gone, and nothing said so.
      if (at) batch.add(clearOf({ source: relation.source, reason: "drop", ...at }), 0);
      return resnapshot(name, "it was dropped and created again");
    }
    if (isOtherKey(before, now))
      return resnapshot(name, "its key changed, and so did the texts of its keys");
    const columns = changedColumns(before, now);
    if (columns.length === 0) return;
    if (onSchemaChange === "resnapshot")
      return resnapshot(name, `columns changed: ${columns.join(", ")}`);
    log.warn(
      { table: name, columns },
      "columns changed: rows not touched since keep their old values in the index; `sluice snapshot` refreshes them",
    );
  };

  /** Rows of a table are not its own from now on: what its records miss is read if it comes back. */
  const left = (oid: number, name: string | undefined) => {
    for (const [other, known] of shapes)
      if (known.oid === oid && other !== name) resnapshot(other, "it was not captured for a while");
  };

  const ignore = (message: RelationMessage) => {
    entries.delete(message.oid);
    ignored.set(message.oid, { message, look: looks });
    left(message.oid, undefined);
    log.debug({ table: shown(message) }, "a published table that is not captured: ignored");
  };

  /** Something ignored may be captured since; the stream need not describe it again. */
  const revisit = (oid: number) => {
    const one = ignored.get(oid);
    if (!one || one.look === looks) return;
    ignored.set(oid, { ...one, look: looks });
    const found = find(one.message);
    if (found && (found.isPartition || found.table.oid === oid)) install(one.message, found);
  };

  return {
    relation: (oid) => {
      if (ignored.size > 0) revisit(oid);
      const entry = entries.get(oid);
      return entry && entry.unmapped.size === 0 ? entry : undefined;
    },
    learn: (message, at) => {
      const found = find(message);
      if (found && fits(found.table, message)) return install(message, found, at);
      const known = ignored.get(message.oid);
      if (!found && known && shown(known.message) === shown(message))
        return void ignored.set(message.oid, { ...known, message });
      return (async () => {
        await refresh();
        if (message.columns.some(({ type }) => !types.knows(type))) await types.refresh(session);
        const now = find(message);
        if (now) install(message, now, at);
        else ignore(message);
      })();
    },
    tables: () => listed.tables,
    stopped: () => listed.stopped,
    table,
    snapshotRelation: (one) => snapshotRelation(one, relations),
    refresh,
    resnapshot,
    watch: (name, window) => {
      const { windows } = treeOf(name);
      windows.add(window);
      return () => void windows.delete(window);
    },
    outdated: () =>
      listed.tables.flatMap((one) => {
        const before = shapes.get(shown(one));
        const why = before && outdated(before, one);
        return why === undefined ? [] : [[shown(one), why] as const];
      }),
    lostPartitions: () =>
      listed.tables.flatMap((one) => {
        const name = shown(one);
        const before = shapes.get(name);
        if (!before || one.kind !== "partitioned") return [];
        const { lost, now } = partitionChanges(before, one);
        if (now.leaves.length > before.leaves.length) remember(name, now);
        return lost.length > 0 ? [[name, lost] as const] : [];
      }),
    recast: async (names) => {
      await refresh();
      const found = names.flatMap((name) => table(name) ?? []);
      return () =>
        found.map((one) => {
          const name = shown(one);
          const value = shapeOfTable(one);
          shapes.set(name, value);
          treeOf(name).unmapped.clear();
          return { key: shapeKey(name), value };
        });
    },
    forget: (name) => {
      shapes.delete(name);
      return { key: shapeKey(name), value: undefined };
    },
  };
}

/** The table with the key that its records have. */
function keyedAs(before: Shape, table: Table): Table {
  const key: readonly KeyColumn[] = before.columns
    .filter(([name]) => before.key.includes(name))
    .toSorted(([a], [b]) => before.key.indexOf(a) - before.key.indexOf(b))
    .map(([name, type, typmod]) => {
      const { typeName = "text", notNull = true } =
        table.columns.find((column) => column.name === name) ?? {};
      const { operators = "pg_catalog" } = table.key.find((column) => column.name === name) ?? {};
      return { name, type, typmod, typeName, notNull, operators };
    });
  return { ...table, key };
}
