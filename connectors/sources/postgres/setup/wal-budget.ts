import { z, type Log } from "sluice";
import { rows } from "./rows.ts";
import type { Session } from "../session.ts";

export interface WalBudget {
  /** Log that the server keeps for the slot. */
  readonly retainedBytes: number;
  /** What may still be written before the slot is lost. */
  readonly safeBytes?: number;
  /** `max_slot_wal_keep_size`. */
  readonly limitBytes?: number;
}

const budget = z.object({
  retained: z.number(),
  safe: z.number().nullable(),
  limit: z.number().nullable(),
});

/** How much log the slot holds back, and how much it still may; `undefined`: there is no such slot. */
export async function walBudget(
  session: Pick<Session, "query">,
  slot: string,
): Promise<WalBudget | undefined> {
  const [found] = await rows(
    session,
    budget,
    `SELECT greatest(coalesce(pg_current_wal_lsn() - restart_lsn, 0), 0) AS retained,
       safe_wal_size AS safe,
       (SELECT CASE WHEN setting::int8 < 0 THEN NULL ELSE setting::int8 * 1024 * 1024 END
        FROM pg_settings WHERE name = 'max_slot_wal_keep_size') AS limit
     FROM pg_replication_slots WHERE slot_name = $1`,
    [slot],
  );
  if (!found) return undefined;
  const { retained, safe, limit } = found;
  if (limit === null) return { retainedBytes: retained };
  // The server counts whole segments, and so may say more than the limit.
  const safeBytes = Math.min(Math.max(safe ?? 0, 0), limit);
  return { retainedBytes: retained, safeBytes, limitBytes: limit };
}

const longestEtaMs = 48 * 3_600_000;

/**
 * A function to give every sample to: it logs how fast the budget shrinks and when it will be used
 * up, a warning from half of it on. Without a limit it logs what is retained, and advises one once.
 */
export function walSampler(
  slot: string,
  log: Log,
  now: () => number = () => performance.now(),
): (sample: WalBudget) => void {
  let before: { readonly at: number; readonly retainedBytes: number } | undefined;
  let hasAdvised = false;
  return ({ retainedBytes, safeBytes, limitBytes }) => {
    const at = now();
    const seconds = before === undefined ? 0 : (at - before.at) / 1_000;
    const grown = before === undefined ? 0 : retainedBytes - before.retainedBytes;
    const bytesPerSecond = seconds > 0 ? Math.round(grown / seconds) : undefined;
    before = { at, retainedBytes };
    const rate = { slot, retainedBytes, ...(bytesPerSecond !== undefined && { bytesPerSecond }) };
    if (safeBytes === undefined || limitBytes === undefined) {
      if (hasAdvised) log.debug(rate, "log kept for the slot");
      else
        log.warn(rate, "no max_slot_wal_keep_size: a stopped pipeline can fill the server's disk");
      hasAdvised = true;
      return;
    }
    const etaMs =
      bytesPerSecond && bytesPerSecond > 0 ? (safeBytes / bytesPerSecond) * 1_000 : Infinity;
    const fields = {
      ...rate,
      safeBytes,
      limitBytes,
      ...(etaMs <= longestEtaMs && { etaMs: Math.round(etaMs) }),
    };
    if (safeBytes * 2 <= limitBytes) log.warn(fields, "half of the slot's log budget is used up");
    else log.debug(fields, "log kept for the slot");
  };
}
