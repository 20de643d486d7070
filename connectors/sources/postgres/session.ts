import type { Client } from "pg";
import type { Options } from "./config.ts";
import { connect, type Parameter } from "./wire/connect.ts";
import type { Tuple } from "./wire/tuple.ts";

/** An ordinary connection, with the settings that make its texts equal to the stream's. */
export interface Session {
  /**
   * Runs a statement, after those asked for before it; rows as PostgreSQL's texts. Several statements
   * in one text (without parameters): the rows of the last. Throws a RetryableError when the
   * connection is gone, else the driver's DatabaseError (`sqlState` tells its code).
   */
  readonly query: (sql: string, parameters?: readonly Parameter[]) => Promise<readonly Tuple[]>;
  readonly client: Client;
  /** As `server_version_num` says it: 150018 is 15.18. */
  readonly serverVersion: number;
  /** The server's process, as `pg_stat_activity` lists it. */
  readonly pid: number;
  /**
   * Aborts, with a RetryableError, as soon as the connection breaks. A stream that nobody reads must
   * end with it: a server that shuts down ends its sessions, and then waits for what it has sent.
   */
  readonly lost: AbortSignal;
  /** Ends it within a second; a statement that still runs is cancelled. May be called twice. */
  readonly close: () => Promise<void>;
}

/** Connects as `sluice NAME`. An abort of `signal` closes, whatever waits rejects with its reason. */
export async function openSession(
  options: Pick<Options, "url" | "ca" | "statementTimeoutMs">,
  run: { readonly name: string; readonly signal: AbortSignal },
): Promise<Session> {
  const { client, pid, lost, query, close } = await connect(options, run, {
    replication: false,
    settings: { statement_timeout: `${options.statementTimeoutMs}` },
  });
  try {
    const rows = await query("SHOW server_version_num");
    const serverVersion = Number(rows[0]?.[0]);
    // Not in the start-up packet, for older servers do not know it.
    if (serverVersion >= 170_000) await query("SET transaction_timeout = 0");
    return { query, client, serverVersion, pid, lost, close };
  } catch (error) {
    await close();
    throw error;
  }
}
