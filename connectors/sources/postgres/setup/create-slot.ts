import { SluiceError, z, type Log } from "sluice";
import { parseLsn } from "../lsn.ts";
import { rows } from "./rows.ts";
import type { Session } from "../session.ts";
import type { Replication } from "../wire/replication.ts";

const patienceMs = 5_000;
const repeatMs = 60_000;

/**
 * Creates the slot. PostgreSQL first waits for the end of every transaction that runs at that moment;
 * after 5 s, and then every minute, the log says which. An abort takes the half-made slot back.
 */
export async function createSlot(
  replication: Pick<Replication, "command" | "close" | "pid">,
  session: Pick<Session, "query" | "serverVersion">,
  options: {
    readonly slot: string;
    readonly failover: boolean;
    readonly log: Log;
    readonly signal: AbortSignal;
    /** Milliseconds before the log says what is waited for; 5,000. */
    readonly patienceMs?: number;
  },
): Promise<{ readonly consistentPoint: bigint }> {
  const { slot, failover, log, signal } = options;
  signal.throwIfAborted();
  const started = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const complain = async () => {
    const blockers = await holdUps(session, replication.pid);
    log.warn(
      { slot, waitedMs: Math.round(performance.now() - started), blockers },
      "creating the slot waits for transactions to end",
    );
  };
  const watch = (ms: number) => {
    timer = setTimeout(() => {
      // It only informs: a failing query shows in the command itself.
      void complain().catch(() => {});
      watch(repeatMs);
    }, ms);
  };
  // Closing cancels the command; a walsender that only lost its client would finish the slot, for nobody.
  const onAbort = () => void replication.close();
  signal.addEventListener("abort", onAbort, { once: true });
  watch(options.patienceMs ?? patienceMs);
  try {
    const made = await replication.command(createCommand(session.serverVersion, slot, failover));
    const point = made[0]?.[1];
    if (typeof point !== "string")
      throw new SluiceError("postgres: CREATE_REPLICATION_SLOT answers no position.", {
        code: "postgres.protocol",
        fix: "Connect to the server itself, not through a pooler.",
      });
    return { consistentPoint: parseLsn(point) };
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

function createCommand(serverVersion: number, slot: string, failover: boolean): string {
  const command = `CREATE_REPLICATION_SLOT "${slot}" LOGICAL pgoutput`;
  if (serverVersion < 150_000) return `${command} NOEXPORT_SNAPSHOT`;
  return `${command} (SNAPSHOT 'nothing'${failover ? ", FAILOVER true" : ""})`;
}

const blocker = z.object({
  pid: z.number().optional(),
  prepared: z.string().optional(),
  user: z.string().nullish(),
  application: z.string().nullish(),
  state: z.string().nullish(),
  since: z.string().nullish(),
});

/** Which transactions the walsender waits for. What the role may not see of them is null. */
async function holdUps(
  session: Pick<Session, "query">,
  pid: number,
): Promise<readonly z.output<typeof blocker>[]> {
  const running = await rows(
    session,
    blocker,
    `SELECT a.pid, a.usename AS user, a.application_name AS application, a.state, a.xact_start AS since
     FROM unnest(pg_blocking_pids($1::int)) AS blocking(pid) JOIN pg_stat_activity a USING (pid)`,
    [pid],
  );
  const prepared = await rows(
    session,
    blocker,
    "SELECT gid AS prepared, owner AS user, prepared AS since FROM pg_prepared_xacts ORDER BY prepared LIMIT 10",
  );
  return [...running, ...prepared];
}
