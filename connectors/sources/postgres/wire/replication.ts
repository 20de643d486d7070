import type { Options } from "../config.ts";
import { formatLsn } from "../lsn.ts";
import { connect } from "./connect.ts";
import type { Tuple } from "./tuple.ts";
import { walStream, type WalStream } from "./wal-stream.ts";

const statusMs = 10_000;
const leastStatusMs = 50;
const leastSilenceMs = 60_000;

/** A connection to a walsender of the database. */
export interface Replication {
  /** One replication command (IDENTIFY_SYSTEM, CREATE_REPLICATION_SLOT …) or one statement of SQL. */
  readonly command: (sql: string) => Promise<readonly Tuple[]>;
  /**
   * START_REPLICATION: the connection is the stream's from then on. A refusal (no slot, slot in use)
   * throws the server's DatabaseError and closes the connection.
   */
  readonly start: (options: {
    readonly slot: string;
    /** 0: where the slot stands. */
    readonly from: bigint;
    readonly publication: string | readonly string[];
    /** Everything up to here is durable: the exact end LSN, no more. 0: nothing yet. */
    readonly confirmed: () => bigint;
    readonly signal: AbortSignal;
  }) => Promise<WalStream>;
  /** The server's process, as `pg_stat_replication` lists it. */
  readonly pid: number;
  /** Ends it within a second; a command that still runs is cancelled. May be called twice. */
  readonly close: () => Promise<void>;
}

/** Connects as `sluice NAME`. An abort of `signal` closes, whatever waits rejects with its reason. */
export async function openReplication(
  options: Pick<Options, "url" | "ca">,
  run: { readonly name: string; readonly signal: AbortSignal },
): Promise<Replication> {
  const { client, pid, where, query, close } = await connect(options, run, {
    replication: true,
    settings: { statement_timeout: "0" },
  });
  let isStarted = false;
  return {
    command: async (sql) => {
      if (isStarted) throw new Error("postgres: the connection is the stream's.");
      return query(sql);
    },
    start: async ({ slot, from, publication, confirmed, signal }) => {
      isStarted = true;
      const timeoutMs = await senderTimeoutMs(query);
      const { DatabaseError } = await import("pg");
      const names = typeof publication === "string" ? [publication] : publication;
      const list = names.map((name) => `"${name.replaceAll('"', '""')}"`).join(",");
      const command = `START_REPLICATION SLOT "${slot}" LOGICAL ${formatLsn(from)} (proto_version '1', publication_names '${list.replaceAll("'", "''")}', messages 'true')`;
      return walStream(client.connection.stream, command, {
        where,
        statusMs:
          timeoutMs === 0 ? statusMs : Math.max(leastStatusMs, Math.min(statusMs, timeoutMs / 3)),
        silentMs: Math.max(leastSilenceMs, 3 * timeoutMs),
        confirmed,
        DatabaseError,
        signal,
        disconnect: close,
      });
    },
    pid,
    close,
  };
}

/** `wal_sender_timeout` of this connection; 0: none. */
async function senderTimeoutMs(query: (sql: string) => Promise<readonly Tuple[]>): Promise<number> {
  const rows = await query("SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout'");
  return Number(rows[0]?.[0] ?? 0);
}
