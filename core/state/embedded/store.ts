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
const select = "SELECT key, value, revision FROM state WHERE project = ? AND connector = ?";

/** One connector's rows of the table `state`. */
export function openStore(database: Database, { project, connector }: Owner): StateStore {
  const read = (key: string) =>
    database
      .rows<Row>(`${select} AND key = ? AND ${alive}`, project, connector, bytes(key), Date.now())
      .map(toEntry)[0];

  /** False when `expect` does not match. */
  const apply = ({ key, value, expect, ttlMs }: StateWrite): boolean => {
    const revision = read(key)?.revision ?? 0;
    if (expect !== undefined && expect !== revision) return false;
    if (value === undefined)
      database.run(
        "DELETE FROM state WHERE project = ? AND connector = ? AND key = ?",
        project,
        connector,
        bytes(key),
      );
    else
      database.run(
        "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?, ?)",
        project,
        connector,
        bytes(key),
        JSON.stringify(value),
        revision + 1,
        ttlMs === undefined ? null : Date.now() + ttlMs,
      );
    return true;
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
    get: async (keys) => keys.map(read),
    each: async (writes, fence) => transact(fence, () => (sweep(), writes.map(apply))),
    all: async (writes, fence) => {
      try {
        transact(fence, () => {
          for (const write of writes) if (!apply(write)) throw mismatch;
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
      // No key is the last with a prefix; but those that share it are neighbours, so the first without ends it.
      for (;;) {
        const rows = database.rows<Row>(
          `${select} AND key ${operator} ? AND ${alive} ORDER BY key LIMIT ?`,
          project,
          connector,
          from,
          Date.now(),
          pageSize,
        );
        const page = rows.map(toEntry).filter(({ key }) => key.startsWith(prefix));
        if (page.length > 0) yield page;
        const last = rows.at(-1);
        if (page.length < pageSize || !last) return;
        [operator, from] = [">", last[0]];
      }
    },
  };
}

/** Makes `write` roll back. */
const mismatch = new Error("state: an expected revision did not match.");

function toEntry([key, value, revision]: Row): Entry {
  return { key: key.toString(), value: JSON.parse(value) as Json, revision };
}

function bytes(key: string): Buffer {
  return Buffer.from(key);
}
