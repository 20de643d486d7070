import { holdLease } from "../lease.ts";
import type { Leases } from "../state.ts";
import type { Database } from "./database.ts";
import type { Owner } from "./store.ts";

/**
 * One connector's rows of the table `leases`. A row is never deleted: its token must never be given again. A token is the
 * time in seconds, or more than the last: also those of a file that was lost, or went back, grow (versions begin with them).
 */
export function openLeases(database: Database, { project, connector }: Owner): Leases {
  const current = (lease: string) =>
    database.rows<[token: number, until: number | null]>(
      "SELECT token, until FROM leases WHERE project = ? AND connector = ? AND lease = ?",
      project,
      connector,
      lease,
    )[0];
  // Further away than any holder would put it: the clock was set back, and nobody may be there.
  const isHeld = (lease: string, ttlMs: number) => {
    const leftMs = (current(lease)?.[1] ?? 0) - Date.now();
    return leftMs > 0 && leftMs <= ttlMs;
  };
  /** True when `token` was still the newest. */
  const update = (lease: string, token: number, until: number | null) =>
    database.write(() =>
      database.run(
        "UPDATE leases SET until = ? WHERE project = ? AND connector = ? AND lease = ? AND token = ?",
        until,
        project,
        connector,
        lease,
        token,
      ),
    ) === 1;

  return {
    acquire: async (lease, ttlMs) => {
      const sentAt = performance.now();
      if (isHeld(lease, ttlMs)) return undefined; // standing by must not cost writes
      const taken = database.write(() => {
        if (isHeld(lease, ttlMs)) return undefined;
        const [last, until] = current(lease) ?? [0, null];
        const token = Math.max(last + 1, Math.floor(Date.now() / 1_000));
        database.run(
          "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?)",
          project,
          connector,
          lease,
          token,
          Date.now() + ttlMs,
        );
        return { token, inherited: until !== null };
      });
      if (!taken) return undefined;
      const { token, inherited } = taken;
      return holdLease({
        fence: { lease, token },
        ttlMs,
        sentAt,
        inherited,
        renew: async () => update(lease, token, Date.now() + ttlMs),
        release: async () => void update(lease, token, null),
      });
    },
  };
}
