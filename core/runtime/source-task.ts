import { setTimeout as sleep } from "node:timers/promises";
import type { SourceConnector } from "../config/pipeline.ts";
import { ConfigError, FencedError, PositionLostError } from "../errors.ts";
import type { Lease } from "../state/state.ts";
import { backoff } from "./backoff.ts";
import { readSource } from "./read-source.ts";
import type { TaskRun } from "./task.ts";

const standbyPollMs = 500;
const maxRestartDelayMs = 30_000;
/** A run that lasted this long was healthy: the next failure starts the back-off anew. */
const healthyAfterMs = 60_000;

/**
 * Runs a source once in the cluster: under its lease, from its stored checkpoint, started again after
 * every failure that may pass. Returns on abort or when the source has no more to read; throws the
 * `ConfigError` or `PositionLostError` that stops it for good.
 */
export async function runSource(connector: SourceConnector, run: TaskRun): Promise<void> {
  const { backend, board, log, leaseMs, signal } = run;
  const scope = backend.state.scope(connector.name);
  let failures = 0;
  let isStandby = false;
  let isAnew = false;
  while (!signal.aborted) {
    const startedAt = performance.now();
    let lease: Lease | undefined;
    try {
      lease = await scope.leases.acquire("source", leaseMs);
      if (lease) {
        isStandby = false;
        await readSource(lease, connector, scope, {
          ...run,
          failures,
          isAnew,
          advanced: () => (isAnew = false),
        });
        return;
      }
      if (!isStandby)
        log.info(
          { withinMs: leaseMs },
          "another process reads this source, or died just now: standing by to take over",
        );
      isStandby = true;
      isAnew = false;
      failures = 0;
      board.become("standby");
      await sleep(standbyPollMs, undefined, { signal });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ConfigError) throw error;
      if (error instanceof FencedError || lease?.signal.aborted) {
        log.info({}, "the source's lease is held elsewhere now");
        isAnew = false; // whoever has it decides for itself
        continue;
      }
      failures = performance.now() - startedAt > healthyAfterMs ? 0 : failures + 1;
      if (error instanceof PositionLostError && !isAnew) {
        if (connector.onGap !== "resnapshot") throw withWaysOut(error, connector.name);
        isAnew = true; // Invariant 10
        board.meter("positions_lost", 1);
        log.error({ error }, "position lost: everything is read again, as onGap says");
      } else log.warn({ error, failures }, "source failed, starting it again");
      board.trouble("failing", error);
      await backoff(failures, { maxDelayMs: maxRestartDelayMs, signal }).catch(() => undefined); // aborted: the loop ends
    } finally {
      await lease?.release().catch((error: unknown) => log.warn({ error }, "lease not released"));
    }
  }
}

function withWaysOut(error: PositionLostError, name: string): PositionLostError {
  const anew = `Set "onGap": "resnapshot" on "${name}" and start it: everything is read again, and what is gone is removed.`;
  const back =
    error.fix ?? "Or bring back what the origin has lost, and start it: it goes on where it was.";
  return new PositionLostError(error.message, {
    code: error.code,
    fix: `${anew} ${back}`,
    cause: error,
  });
}
