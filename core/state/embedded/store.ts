import { FencedError } from "../../errors.ts";
import type { Json } from "../../event.ts";
import type { Entry, Fence, StateStore, StateWrite } from "../state.ts";
import type { Database } from "./database.ts";

/** Whose state: every row carries it. */
export interface Owner {
  readonly project: string;
  readonly connector: string;
}

type Row = readonly [key: Buffer, value: string, revision: number];

const sweepEveryMs = 60_000;
const alive = "(expires IS NULL OR expires > ?)";
const where = "FROM state WHERE project = ? AND connector = ?";
// One statement for any number of keys: calling SQLite costs more than its search.
const among = "key IN (SELECT unhex(value) FROM json_each(?))";

/** One connector's rows of the table `state`. */
export function openStore(database: Database, { project, connector }: Owner): StateStore {
  const read = (keys: readonly string[]): ReadonlyMap<string, Entry> => {
    const rows = database.rows<Row>(
      `SELECT key, value, revision ${where} AND ${among} AND ${alive}`,
      project,
      connector,
      hexes(keys),
      Date.now(),
    );
    return new Map(rows.map((row) => [row[0].toString(), toEntry(row)]));
  };

  const revisionsOf = (keys: readonly string[]): Map<string, number> => {
    const rows = database.rows<readonly [key: Buffer, revision: number]>(
      `SELECT key, revision ${where} AND ${among} AND ${alive}`,
      project,
      connector,
      hexes(keys),
      Date.now(),
    );
    return new Map(rows.map(([key, revision]) => [key.toString(), revision]));
  };

  /** Each on its own, in order: false where `expect` does not match. */
  const apply = (writes: readonly StateWrite[]): readonly boolean[] => {
    const revisions = revisionsOf(writes.map(({ key }) => key));
    return writes.map(({ key, value, expect, ttlMs }) => {
      const revision = revisions.get(key) ?? 0;
      if (expect !== undefined && expect !== revision) return false;
      revisions.set(key, value === undefined ? 0 : revision + 1);
      if (value === undefined)
        database.run(
          "DELETE FROM state WHERE project = ? AND connector = ? AND key = ?",
          project,
          connector,
          bytes(key),
        );
      else
        database.run(
          // Not REPLACE, which deletes and writes anew: a row keeps its place.
          `INSERT INTO state (project, connector, key, value, revision, expires) VALUES (?, ?, ?, ?, ?, ?)
           ON CONFLICT (project, connector, key) DO UPDATE
           SET value = excluded.value, revision = excluded.revision, expires = excluded.expires`,
          project,
          connector,
          bytes(key),
          JSON.stringify(value),
          revision + 1,
          ttlMs === undefined ? null : Date.now() + ttlMs,
        );
      return true;
    });
  };

  const checkFence = ({ lease, token }: Fence): void => {
    const newest = database.rows<[number]>(
      "SELECT token FROM leases WHERE project = ? AND connector = ? AND lease = ?",
      project,
      connector,
      lease,
    )[0]?.[0];
    if (newest !== token)
      throw new FencedError(`state: ${connector} no longer holds the lease "${lease}".`, {
        code: "state.fenced",
      });
  };

  const transact = <T>(fence: Fence | undefined, work: () => T): T =>
    database.write(() => {
      if (fence) checkFence(fence);
      return work();
    });

  let sweepAt = 0;
  const sweep = () => {
    if (performance.now() < sweepAt) return;
    sweepAt = performance.now() + sweepEveryMs;
    database.run("DELETE FROM state WHERE expires <= ?", Date.now());
  };

  return {
    get: async (keys) => {
      const found = read(keys);
      return keys.map((key) => found.get(key));
    },
    each: async (writes, fence) => transact(fence, () => (sweep(), apply(writes))),
    all: async (writes, fence) => {
      try {
        transact(fence, () => {
          if (!apply(writes).every(Boolean)) throw mismatch;
        });
        return true;
      } catch (error) {
        if (error === mismatch) return false;
        throw error;
      }
    },
    async *scan(prefix, { after, pageSize = 500 } = {}) {
      let [operator, from] = [">=", bytes(prefix)];
      if (after !== undefined && Buffer.compare(bytes(after), from) >= 0)
        [operator, from] = [">", bytes(after)];
      const end = endOf(prefix);
      for (;;) {
        const rows = database.rows<Row>(
          `SELECT key, value, revision ${where} AND key ${operator} ? AND key < ? AND ${alive} ORDER BY key LIMIT ?`,
          project,
          connector,
          from,
          end,
          Date.now(),
          pageSize,
        );
        if (rows.length > 0) yield rows.map(toEntry);
        const last = rows.at(-1);
        if (rows.length < pageSize || !last) return;
        [operator, from] = [">", last[0]];
      }
    },
  };
}

/** Of all keys with a prefix that live. */
export function countKeys(
  database: Database,
  { project, connector }: Owner,
  prefix: string,
): number {
  const [row] = database.rows<[number]>(
    `SELECT count(*) ${where} AND key >= ? AND key < ? AND ${alive}`,
    project,
    connector,
    bytes(prefix),
    endOf(prefix),
    Date.now(),
  );
  return row?.[0] ?? 0;
}

/** Behind every key with the prefix: no UTF-8 text holds 0xff. */
function endOf(prefix: string): Buffer {
  return Buffer.concat([bytes(prefix), Buffer.of(0xff)]);
}

/** Makes `write` roll back. */
const mismatch = new Error("state: an expected revision did not match.");

function toEntry([key, value, revision]: Row): Entry {
  return { key: key.toString(), value: JSON.parse(value) as Json, revision };
}

function bytes(key: string): Buffer {
  return Buffer.from(key);
}

/** A JSON array, as a statement takes any number of keys. */
function hexes(keys: readonly string[]): string {
  return JSON.stringify(keys.map((key) => bytes(key).toString("hex")));
}
