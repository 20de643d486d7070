import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import Libsql from "libsql";
import type { Finding } from "../../connector.ts";
import { ConfigError, RetryableError } from "../../errors.ts";
import { makeFolder } from "../../make-folder.ts";
import { upgrade } from "./schema.ts";
import { unwritable } from "./unwritable.ts";

/** What may be bound. Buffers keep what SQLite's texts do not: U+0000. */
export type Value = string | number | null | Buffer;

/** One connection to a project's SQLite file. Everything is synchronous: a transaction never spans an await. */
export interface Database {
  readonly path: string;
  readonly rows: <Row extends readonly unknown[]>(sql: string, ...values: Value[]) => Row[];
  /** The number of rows changed. */
  readonly run: (sql: string, ...values: Value[]) => number;
  /**
   * Runs `work` in one writing transaction, rolled back when it throws. It is on disk when this returns;
   * with `lazy` only when the next one is that is not, which is enough for what may be done again.
   */
  readonly write: <T>(work: () => T, options?: { readonly lazy: boolean }) => T;
  /** Changes when another connection, in this process or another, has written. */
  readonly version: () => number;
  /** May be called twice. */
  readonly close: () => void;
}

const busyTimeoutMs = 10_000;

/**
 * Opens `${dir}/sluice.db`, which state and queue share, and upgrades its format. A commit is on disk
 * when it returns (WAL, synchronous=FULL, but for lazy ones); several processes may share the file.
 */
export function openDatabase(dir: string): Database {
  const path = join(dir, "sluice.db");
  prepareDirectory(dir);
  const connection = translated(path, () => new Libsql(path, { timeout: busyTimeoutMs }));
  const statements = new Map<string, Statement>();

  const statement = (sql: string, values: readonly Value[]) => {
    let known = statements.get(sql);
    if (!known) {
      const prepared = connection.prepare(sql);
      if (prepared.reader) prepared.raw();
      known = { prepared, holes: sql.split("?").length - 1 };
      statements.set(sql, known);
    }
    // libsql lets a wrong count pass, and aborts the process on booleans and objects.
    if (known.holes !== values.length || !values.every(isBindable))
      throw new TypeError(`embedded: wrong values for ${sql}`);
    return known.prepared;
  };
  let isLazy = false;
  const database: Database = {
    path,
    // `all` even for one row: `get` leaves the statement open, and with it an old view of the file.
    rows: <Row extends readonly unknown[]>(sql: string, ...values: Value[]) =>
      translated(path, () => statement(sql, values).all(values) as unknown as Row[]),
    run: (sql, ...values) => translated(path, () => statement(sql, values).run(values).changes),
    write: (work, { lazy } = { lazy: false }) => {
      if (lazy !== isLazy) {
        isLazy = lazy;
        connection.exec(`PRAGMA synchronous = ${lazy ? "NORMAL" : "FULL"}`);
      }
      // IMMEDIATE: a transaction that reads first and writes later can deadlock with another such.
      translated(path, () => connection.exec("BEGIN IMMEDIATE"));
      try {
        const result = work();
        translated(path, () => connection.exec("COMMIT"));
        return result;
      } catch (error) {
        if (connection.inTransaction) connection.exec("ROLLBACK"); // SQLite itself rolls back a full disk
        throw error;
      }
    },
    version: () => database.rows<[number]>("PRAGMA data_version")[0]?.[0] ?? 0,
    close: () => {
      if (!connection.open) return;
      try {
        // So that a copy of the file alone is whole. Others may be at work: then the last of them does it.
        database.rows("PRAGMA wal_checkpoint(TRUNCATE)");
      } catch {
        // Busy, or a full disk: what is in the log is safe there.
      }
      connection.close();
    },
  };
  try {
    for (const [name, value] of settings) database.rows(`PRAGMA ${name} = ${value}`);
    upgrade(database, path);
  } catch (error) {
    connection.close();
    throw error;
  }
  return database;
}

/** Says where the file is and how large. That it can be opened is known already. */
export function checkDatabase({ path, rows }: Database): Finding {
  const [pages, pageSize] = ["page_count", "page_size"].map(
    (name) => rows<[number]>(`PRAGMA ${name}`)[0]?.[0] ?? 0,
  );
  const megabytes = (((pages ?? 0) * (pageSize ?? 0)) / 2 ** 20).toFixed(1);
  return {
    severity: "ok",
    code: "embedded.ready",
    message: `embedded: ${path} answers, ${megabytes} MB; durability disk.`,
  };
}

const settings = [
  ["page_size", 8192], // jobs are large rows: a quarter faster than 4096
  ["journal_mode", "WAL"],
  ["synchronous", "FULL"],
  ["wal_autocheckpoint", 4_000], // 32 MB: most of a job's pages are freed before they are copied
  ["journal_size_limit", 64 * 1024 * 1024],
  ["temp_store", "MEMORY"],
] as const;

interface Statement {
  readonly prepared: Libsql.Statement;
  readonly holes: number;
}

function isBindable(value: unknown): boolean {
  return (
    value === null ||
    typeof value === "string" ||
    typeof value === "number" ||
    Buffer.isBuffer(value)
  );
}

function prepareDirectory(dir: string): void {
  try {
    makeFolder(dir);
    accessSync(dir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw unwritable(dir, error);
  }
}

/** Turns what SQLite throws into errors that say what to do. */
function translated<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw translate(path, error);
  }
}

function translate(path: string, cause: unknown): unknown {
  const code = codeOf(cause);
  if (code === undefined) return cause;
  if (code.startsWith("SQLITE_FULL"))
    return new RetryableError(`state: the disk of ${path} is full.`, {
      code: "state.disk-full",
      reason: "unreachable",
      fix: `Free some space on the disk of ${path}; everything goes on by itself then.`,
      cause,
    });
  if (code.startsWith("SQLITE_BUSY"))
    return new RetryableError(`state: another process has held ${path} for ${busyTimeoutMs} ms.`, {
      code: "state.busy",
      reason: "unreachable",
      fix: `Look for a stopped or hanging process that has ${path} open.`,
      cause,
    });
  if (code.startsWith("SQLITE_CORRUPT") || code.startsWith("SQLITE_NOTADB"))
    return new ConfigError(`state: ${path} is damaged, or not a database of Sluice.`, {
      code: "state.file-damaged",
      fix: `Restore ${path} from a backup, or move it away with the index it stands for, and start anew.`,
      cause,
    });
  return new RetryableError(`state: ${path} cannot be read or written (${code}).`, {
    code: "state.io",
    reason: "unreachable",
    fix: `Check the disk of ${path} and who may read and write it.`,
    cause,
  });
}

function codeOf(error: unknown): string | undefined {
  if (error instanceof Libsql.SqliteError) return error.code;
  // libsql's own wording when a file cannot be opened; it carries no code.
  return String(error).includes("ConnectionFailed") ? "SQLITE_CANTOPEN" : undefined;
}
