import { ConfigError, PositionLostError, RetryableError, z, type Log } from "sluice";
import type { Options } from "./config.ts";
import type { Database } from "./database.ts";
import { formatLsn, parseLsn } from "./lsn.ts";
import { createSlot } from "./setup/create-slot.ts";
import { dropSlot, judgeSlot, readSlot, type SlotOrigin } from "./setup/slot.ts";

/** Where a source resumes. LSNs as PostgreSQL writes them. */
export const position = z.object({
  system: z.string(),
  database: z.string(),
  slot: z.string(),
  /** Rises with every new slot: a restored or another server may count LSNs from below. */
  epoch: z.number().int(),
  /** Everything before it is durable; what is confirmed to the server. */
  lsn: z.string(),
  /** Within the transaction that commits at `commit`, the rows up to `ordinal` are durable too. */
  at: z.object({ commit: z.string(), ordinal: z.number().int() }).optional(),
  /** `snapshot: "only"` is through. */
  isDone: z.boolean().optional(),
});
export type Position = z.output<typeof position>;

export interface Start {
  readonly position: Position;
  /** A new slot: what was known of snapshots is void. */
  readonly isNew: boolean;
}

/**
 * Decides where the stream begins, and makes the slot where there is none yet. `unfinished`: a first
 * snapshot is not complete, so that a lost slot costs nothing but beginning anew.
 */
export async function findStart(options: {
  readonly config: Options;
  readonly database: Pick<Database, "names" | "session" | "replication" | "server">;
  readonly stored: Position | undefined;
  readonly isUnfinished: boolean;
  readonly lastEpoch: number;
  /** The slot that this source made, by its own notes. */
  readonly ownSlot: string | undefined;
  /** Notes that it is about to make a slot. */
  readonly claim: (slot: string) => Promise<void>;
  readonly log: Log;
  readonly signal: AbortSignal;
}): Promise<Start> {
  const { config, stored, isUnfinished } = options;
  const { session, replication, server, names } = options.database;
  const { slot } = names;
  const facts = await readSlot(session, slot);
  const known = stored && {
    system: stored.system,
    database: stored.database,
    lsn: parseLsn(stored.lsn),
  };
  const { state, reason = "" } = judgeSlot(facts, known, server);
  if (state === "busy")
    throw new RetryableError(
      `postgres: slot "${slot}" is in use${reason === "" ? "" : `: ${reason}`}.`,
      {
        code: "postgres.slot-busy",
        reason: "unreachable",
        fix: "Is another pipeline using it? Give each its own `slot`. After a crash the server frees it within wal_sender_timeout.",
      },
    );
  if (state === "foreign")
    throw new ConfigError(`postgres: slot "${slot}" cannot be used: ${reason}.`, {
      code: "postgres.slot-foreign",
      fix: "Name another one as `slot`.",
    });
  if (stored && state === "valid") return { position: { ...stored, slot }, isNew: false };
  if (stored && !(isUnfinished || config.snapshot === "when-needed"))
    throw new PositionLostError(
      `postgres: the changes after ${stored.lsn} are lost: slot "${slot}" is ${state}${reason === "" ? "" : ` (${reason})`}.`,
      {
        code: "postgres.position-lost",
        fix: "To begin from nothing instead, `sluice remove` it first.",
      },
    );
  if (
    stored &&
    isUnfinished &&
    state === "lost" &&
    /wal_removed|lost/.test(reason) &&
    config.snapshot !== "when-needed"
  )
    throw new ConfigError(
      `postgres: slot "${slot}" was lost while its first snapshot ran: the server keeps too little WAL (${reason}).`,
      {
        code: "postgres.slot-lost-in-snapshot",
        fix: "Raise max_slot_wal_keep_size (ALTER SYSTEM SET max_slot_wal_keep_size = '…'; SELECT pg_reload_conf();), then `sluice remove` the connector and start anew.",
      },
    );
  if (!config.setup) {
    // Moved: made anew by a DBA, since the position is lost and everything is read again.
    if (facts && state !== "lost" && facts.confirmedFlushLsn !== null)
      return {
        position: newPosition(slot, server, options.lastEpoch, facts.confirmedFlushLsn),
        isNew: true,
      };
    const drop = facts ? `SELECT pg_drop_replication_slot('${slot}'); ` : "";
    throw new RetryableError(
      `postgres: slot "${slot}" is ${state}${reason === "" ? "" : ` (${reason})`}.`,
      {
        code: "postgres.slot-missing",
        reason: "refused",
        fix: `Run: ${drop}SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput');  or set "setup": true.`,
      },
    );
  }
  if (facts && options.ownSlot !== slot) {
    // A DBA may have made it, where the configuration names it.
    if (config.slot !== undefined && state === "valid" && facts.confirmedFlushLsn !== null)
      return {
        position: newPosition(slot, server, options.lastEpoch, facts.confirmedFlushLsn),
        isNew: true,
      };
    throw new ConfigError(
      `postgres: there is a slot "${slot}" already, and nothing says that this source made it.`,
      {
        code: "postgres.slot-exists",
        fix: `Another pipeline's? Then name an own one as \`slot\`. Ours, and its state was lost? Then run: SELECT pg_drop_replication_slot('${slot}');`,
      },
    );
  }
  // Ours, without a position or with a lost one. It may be older than the publication.
  if (facts) await dropSlot(session, slot);
  const { ownSlot } = options;
  // The config names another one now: nobody else would free the log that the old one holds.
  if (ownSlot !== undefined && ownSlot !== slot && (await dropSlot(session, ownSlot)))
    options.log.info({ slot: ownSlot }, "the slot by its old name is dropped");
  await options.claim(slot);
  const { consistentPoint } = await createSlot(replication, session, {
    slot,
    failover: config.failover,
    log: options.log,
    signal: options.signal,
  });
  options.log.info({ slot, lsn: formatLsn(consistentPoint) }, "replication slot created");
  return { position: newPosition(slot, server, options.lastEpoch, consistentPoint), isNew: true };
}

function newPosition(
  slot: string,
  { system, database }: SlotOrigin,
  lastEpoch: number,
  lsn: bigint,
): Position {
  const epoch = Math.max(lastEpoch + 1, Math.floor(Date.now() / 1_000));
  return { system, database, slot, epoch, lsn: formatLsn(lsn) };
}
