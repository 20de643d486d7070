import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "sluice";
import { explained, isPassing, messageOf, unreachable } from "./problems.ts";

const longestPauseMs = 1_000;
/** As long as the stream holds out: whichever gives up first, the runner starts both again. */
const outageMs = 90_000;

/** Does it again while it fails for reasons that pass: an election, a host that went down. */
export async function persistently<T>(
  what: () => Promise<T>,
  { signal, log }: { readonly signal: AbortSignal; readonly log: Log },
): Promise<T> {
  const since = performance.now();
  for (let tries = 1; ; tries++)
    try {
      return await what();
    } catch (error) {
      signal.throwIfAborted();
      if (!isPassing(error)) throw explained(error);
      if (performance.now() - since > outageMs) throw unreachable(error);
      log.debug({ reason: messageOf(error), tries }, "mongodb: a read failed, trying again");
      await sleep(Math.min(longestPauseMs, 25 * 2 ** tries), undefined, { signal });
    }
}
