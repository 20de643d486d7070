import { RetryableError, z } from "sluice";
import { formatLsn, parseLsn } from "../lsn.ts";
import { rows } from "./rows.ts";
import type { Session } from "../session.ts";
import { sqlState } from "../wire/refusals.ts";
import type { Replication } from "../wire/replication.ts";

const lsn = z.string().transform(parseLsn);

// Columns differ by version: what an older server does not have is absent.
const facts = z.object({
  name: z.string(),
  plugin: z.string().nullable(),
  type: z.string(),
  database: z.string().nullable(),
  temporary: z.boolean(),
  /** The walsender that uses it. */
  activePid: z.number().nullable(),
  restartLsn: lsn.nullable(),
  confirmedFlushLsn: lsn.nullable(),
  /** `reserved`, `extended`, `unreserved` or `lost`. */
  walStatus: z.string().nullable(),
  /** Bytes that may still be written before it is lost; null without a limit. */
  safeWalBytes: z.number().nullable(),
  /** 17+. */
  invalidationReason: z.string().nullish(),
  failover: z.boolean().nullish(),
  /** 16+: on a standby, in conflict with recovery. */
  conflicting: z.boolean().nullish(),
});

export type SlotFacts = z.output<typeof facts>;
export type SlotState = "missing" | "lost" | "busy" | "foreign" | "moved" | "valid";

/** A position, and the history that it is a position of. */
export interface SlotOrigin {
  /** The server's system identifier. */
  readonly system: string;
  readonly database: string;
}

/** What the server says about a slot; `undefined` if it has none of that name. */
export async function readSlot(
  session: Pick<Session, "query">,
  slot: string,
): Promise<SlotFacts | undefined> {
  const [found] = await rows(session, facts, slots, [slot]);
  return found;
}

/** Who the server is and how far its log is written out, as `judgeSlot` wants it. */
export async function readOrigin(
  replication: Pick<Replication, "command">,
): Promise<SlotOrigin & { readonly flushLsn: bigint }> {
  const [[system, , flushed, database] = []] = await replication
    .command("IDENTIFY_SYSTEM")
    .catch((cause: unknown) => {
      // An ordinary backend knows no replication commands.
      throw sqlState(cause) === "42601" ? notReplicating(cause) : cause;
    });
  if (!system || !flushed || !database) throw notReplicating();
  return { system, database, flushLsn: parseLsn(flushed) };
}

/**
 * Whether streaming can go on from what the checkpoint stored (nothing at a first start). `moved`
 * comes before `busy`: what another consumer has taken is lost, whether or not it still runs.
 */
export function judgeSlot(
  slot: SlotFacts | undefined,
  stored: (SlotOrigin & { readonly lsn: bigint }) | undefined,
  server: SlotOrigin & { readonly flushLsn: bigint },
): { readonly state: SlotState; readonly reason?: string } {
  if (stored && stored.system !== server.system)
    return moved(`the server is another one: ${server.system}, it was ${stored.system}`);
  if (stored && stored.database !== server.database)
    return moved(`the database is ${server.database}, it was ${stored.database}`);
  if (!slot) return { state: "missing", reason: "there is no such slot" };
  if (slot.type !== "logical" || slot.plugin !== "pgoutput")
    return {
      state: "foreign",
      reason: `it is a ${slot.type} slot of ${slot.plugin ?? "no plugin"}`,
    };
  if (slot.database !== server.database)
    return { state: "foreign", reason: `it belongs to database ${slot.database ?? "none"}` };
  if (slot.temporary) return { state: "foreign", reason: "it is temporary" };
  if (slot.walStatus === "lost" || slot.invalidationReason || slot.conflicting)
    return { state: "lost", reason: slot.invalidationReason ?? "wal_removed" };
  if (stored && slot.confirmedFlushLsn !== null && slot.confirmedFlushLsn > stored.lsn)
    return moved(
      `it stands at ${formatLsn(slot.confirmedFlushLsn)}, beyond ${formatLsn(stored.lsn)} that was stored`,
    );
  if (stored && stored.lsn > server.flushLsn)
    return moved(
      `the server's log ends at ${formatLsn(server.flushLsn)}, before ${formatLsn(stored.lsn)} that was stored`,
    );
  if (slot.activePid !== null)
    return { state: "busy", reason: `process ${slot.activePid} uses it` };
  if (slot.confirmedFlushLsn === null)
    return { state: "lost", reason: "its creation was never finished" };
  return { state: "valid" };
}

/** Drops a slot; false if there is none. Throws a RetryableError that names the process using it. */
export async function dropSlot(session: Pick<Session, "query">, slot: string): Promise<boolean> {
  const found = await readSlot(session, slot);
  if (!found) return false;
  if (found.activePid !== null) throw inUse(slot, found.activePid);
  try {
    await session.query("SELECT pg_drop_replication_slot($1)", [slot]);
  } catch (error) {
    if (sqlState(error) === "42704") return false;
    if (sqlState(error) !== "55006") throw error;
    throw inUse(slot, (await readSlot(session, slot))?.activePid ?? undefined, error);
  }
  return true;
}

function notReplicating(cause?: unknown): RetryableError {
  return new RetryableError("postgres: what answers does not replicate, as a pooler does not.", {
    code: "postgres.pooler",
    reason: "refused",
    fix: "Name in `url` the server itself: its own host or port, not the pooler's.",
    cause,
  });
}

function moved(reason: string): { readonly state: SlotState; readonly reason: string } {
  return { state: "moved", reason };
}

/** Another process streams from the slot. */
export function inUse(slot: string, pid: number | undefined, cause?: unknown): RetryableError {
  return new RetryableError(
    `postgres: slot "${slot}" is in use${pid === undefined ? "" : ` by process ${pid}`}.`,
    {
      code: "postgres.slot-busy",
      reason: "unreachable",
      fix: "Stop whoever streams from it, and try again.",
      cause,
    },
  );
}

const slots = `
  SELECT slot_name AS name, plugin, slot_type AS type, database, temporary,
    active_pid AS "activePid", restart_lsn AS "restartLsn", confirmed_flush_lsn AS "confirmedFlushLsn",
    wal_status AS "walStatus", safe_wal_size AS "safeWalBytes",
    to_jsonb(s) ->> 'invalidation_reason' AS "invalidationReason",
    to_jsonb(s) -> 'failover' AS failover, to_jsonb(s) -> 'conflicting' AS conflicting
  FROM pg_replication_slots s WHERE slot_name = $1`;
