import { mkdirSync, existsSync } from "node:fs";
import { join } from "node:path";
import Libsql from "libsql";
import { ConfigError } from "sluice";
import { inFolder } from "./folder.ts";

/** What may be bound: anything else makes libsql abort the process instead of throwing. */
export type Value = string | number | null | Uint8Array;
export type Row = Readonly<Record<string, unknown>>;

export interface Database {
  /** Rows of a statement. `sql` is prepared once and kept, so its text must come from a bounded set. */
  readonly rows: (sql: string, values?: readonly Value[]) => readonly Row[];
  /** The same for text built per request: prepared, used and dropped. */
  readonly rowsOnce: (sql: string, values: readonly Value[]) => readonly Row[];
  /** Runs a statement that returns no rows and says how many it changed. */
  readonly run: (sql: string, values?: readonly Value[]) => number;
  /** Runs `work` in one transaction; a throw rolls back. `write` takes the file's write lock first. */
  readonly transaction: <T>(kind: "read" | "write", work: () => T) => T;
  readonly close: () => void;
}

const formatVersion = 1;
const busyTimeoutMs = 10_000;

// A namespace outlives its deletion as a row with live = 0, so its LSNs never start again.
const schema = `
  CREATE TABLE indexes (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
    dimension INTEGER NOT NULL, metric TEXT NOT NULL, settings TEXT NOT NULL);
  CREATE TABLE namespaces (
    id INTEGER PRIMARY KEY AUTOINCREMENT, "index" INTEGER NOT NULL, name TEXT NOT NULL,
    lsn INTEGER NOT NULL, live INTEGER NOT NULL, UNIQUE ("index", name));
  CREATE TABLE vectors (
    number INTEGER PRIMARY KEY, namespace INTEGER NOT NULL, id TEXT NOT NULL,
    embedding BLOB NOT NULL, norm REAL NOT NULL, metadata TEXT, sparse TEXT,
    UNIQUE (namespace, id));
  PRAGMA user_version = ${formatVersion};
`;

/** Opens `pinecone.db` in `dir`. `readOnly` needs it to be there and writes nothing to it. */
export function openDatabase(dir: string, options: { readonly readOnly: boolean }): Database {
  return inFolder(dir, () => open(dir, options));
}

function open(dir: string, options: { readonly readOnly: boolean }): Database {
  const file = join(dir, "pinecone.db");
  if (options.readOnly && !existsSync(file)) {
    throw new ConfigError(`pinecone: ${dir} holds no local index yet.`, {
      code: "pinecone.local-missing",
      fix: "Start the pipeline that fills it first, or correct the folder.",
    });
  }
  if (!options.readOnly) mkdirSync(dir, { recursive: true });
  const libsql = new Libsql(file, { timeout: busyTimeoutMs });
  const kept = new Map<string, Libsql.Statement>();
  const prepared = (sql: string): Libsql.Statement => {
    const known = kept.get(sql);
    if (known !== undefined) return known;
    const statement = libsql.prepare(sql);
    kept.set(sql, statement);
    return statement;
  };
  const database: Database = {
    rows: (sql, values = []) => prepared(sql).all(bound(sql, values)) as Row[],
    rowsOnce: (sql, values) => libsql.prepare(sql).all(bound(sql, values)) as Row[],
    run: (sql, values = []) => prepared(sql).run(bound(sql, values)).changes,
    transaction: (kind, work) => {
      libsql.exec(kind === "write" ? "BEGIN IMMEDIATE" : "BEGIN");
      try {
        const result = work();
        libsql.exec("COMMIT");
        return result;
      } catch (error) {
        // A failed COMMIT may have ended the transaction itself.
        if (libsql.inTransaction) libsql.exec("ROLLBACK");
        throw error;
      }
    },
    close: () => {
      if (!libsql.open) return;
      kept.clear();
      libsql.close();
    },
  };
  try {
    libsql.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
    if (options.readOnly) libsql.exec("PRAGMA query_only = ON");
    // Vectors are large rows: big pages halve the file and the time of a scan. No effect on a file that exists.
    else
      libsql.exec("PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    database.transaction(options.readOnly ? "read" : "write", () => {
      const found = Number(database.rows("PRAGMA user_version")[0]?.["user_version"]);
      if (found > formatVersion) {
        throw new ConfigError(
          `pinecone: ${file} has format ${found}, newer than ${formatVersion}.`,
          {
            code: "pinecone.file-newer",
            fix: "Use the newer version of sluice that wrote it, or another folder.",
          },
        );
      }
      if (found === 0 && !options.readOnly) libsql.exec(schema);
    });
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

/** The one place where values meet libsql: it aborts the process on a boolean, an object or a lone buffer, and ignores a wrong count. */
function bound(sql: string, values: readonly Value[]): Value[] {
  const expected = sql.split("?").length - 1;
  if (expected !== values.length)
    throw new TypeError(`${expected} values expected, ${values.length} given: ${sql}`);
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
