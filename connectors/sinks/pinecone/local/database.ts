import { mkdirSync, existsSync } from "node:fs";
import { join } from "node:path";
import Libsql from "libsql";
import { inFolder } from "./folder.ts";
import { noIndexYet, upgrades } from "./schema.ts";

/** What may be bound: anything else makes libsql abort the process instead of throwing. */
export type Value = string | number | null | Uint8Array;
export type Row = Readonly<Record<string, unknown>>;

export interface Database {
  /** Rows of a statement. `sql` is prepared once and kept, so its text must come from a bounded set. */
  readonly rows: (sql: string, values?: readonly Value[]) => readonly Row[];
  /** Runs a statement that returns no rows and says how many it changed. */
  readonly run: (sql: string, values?: readonly Value[]) => number;
  /**
   * Runs `work` in one transaction; a throw rolls back. `write` takes the file's write lock first; `trial` does
   * too, and always rolls back.
   */
  readonly transaction: <T>(kind: "read" | "write" | "trial", work: () => T) => T;
  /** Runs `work` inside a transaction; a throw undoes it, and nothing else of the transaction. */
  readonly part: <T>(work: () => T) => T;
  readonly inTransaction: () => boolean;
  readonly close: () => void;
}

const busyTimeoutMs = 10_000;
const cacheKib = 32_768;

interface Prepared {
  readonly sql: string;
  readonly statement: Libsql.Statement;
  readonly parameters: number;
}

/** Opens `pinecone.db` in `dir`. `readOnly` needs it to be there and writes nothing to it. */
export function openDatabase(dir: string, options: { readonly readOnly: boolean }): Database {
  return inFolder(dir, () => open(dir, options));
}

function open(dir: string, options: { readonly readOnly: boolean }): Database {
  const file = join(dir, "pinecone.db");
  if (options.readOnly && !existsSync(file)) throw noIndexYet(file);
  if (!options.readOnly) mkdirSync(dir, { recursive: true });
  const libsql = new Libsql(file, { timeout: busyTimeoutMs });
  const kept = new Map<string, Prepared>();
  const prepared = (sql: string): Prepared => {
    const known = kept.get(sql);
    if (known !== undefined) return known;
    const made = { sql, statement: libsql.prepare(sql), parameters: sql.split("?").length - 1 };
    kept.set(sql, made);
    return made;
  };
  const database: Database = {
    rows: (sql, values = []) => {
      const known = prepared(sql);
      return known.statement.all(bound(known, values)) as Row[];
    },
    run: (sql, values = []) => {
      const known = prepared(sql);
      return known.statement.run(bound(known, values)).changes;
    },
    transaction: (kind, work) => {
      libsql.exec(kind === "read" ? "BEGIN" : "BEGIN IMMEDIATE");
      try {
        const result = work();
        libsql.exec(kind === "trial" ? "ROLLBACK" : "COMMIT");
        return result;
      } catch (error) {
        // A failed COMMIT may have ended the transaction itself.
        if (libsql.inTransaction) libsql.exec("ROLLBACK");
        throw error;
      }
    },
    part: (work) => {
      libsql.exec("SAVEPOINT part");
      try {
        const result = work();
        libsql.exec("RELEASE part");
        return result;
      } catch (error) {
        if (libsql.inTransaction) libsql.exec("ROLLBACK TO part; RELEASE part");
        throw error;
      }
    },
    inTransaction: () => libsql.inTransaction,
    close: () => {
      if (!libsql.open) return;
      if (!options.readOnly) gather(libsql);
      kept.clear();
      libsql.close();
    },
  };
  try {
    // What parts of a transaction change is kept until they end: in memory, not in a file.
    libsql.exec(
      `PRAGMA busy_timeout = ${busyTimeoutMs}; PRAGMA cache_size = -${cacheKib}; PRAGMA temp_store = MEMORY`,
    );
    if (options.readOnly) libsql.exec("PRAGMA query_only = ON");
    // Vectors are large rows: larger pages hold them whole. No effect on a file that exists. A longer log means
    // that pages changed by many writes are copied into the file once.
    else
      libsql.exec(
        "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000",
      );
    database.transaction(options.readOnly ? "read" : "write", () => {
      const found = Number(database.rows("PRAGMA user_version")[0]?.["user_version"]);
      for (const sql of upgrades({ file, found, readOnly: options.readOnly })) libsql.exec(sql);
    });
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

/** Puts all into the one file, so that it may be copied or moved. */
function gather(libsql: Libsql.Database): void {
  try {
    libsql.exec(
      "PRAGMA busy_timeout = 0; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE",
    );
  } catch {
    // Another process reads, or the disk is full: the log stays beside the file, and nothing is lost.
  }
}

/** The one place where values meet libsql: it aborts the process on a boolean, an object or a lone buffer, and ignores a wrong count. */
function bound({ sql, parameters }: Prepared, values: readonly Value[]): Value[] {
  if (parameters !== values.length)
    throw new TypeError(`${parameters} values expected, ${values.length} given: ${sql}`);
  for (const value of values) {
    const ok =
      value === null ||
      typeof value === "string" ||
      typeof value === "number" ||
      value instanceof Uint8Array;
    if (!ok) throw new TypeError(`cannot bind a ${typeof value}: ${sql}`);
  }
  return [...values];
}
