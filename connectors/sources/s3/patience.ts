import { setTimeout as sleep } from "node:timers/promises";
import { RetryableError } from "sluice";

const firstWaitMs = 500;
const maxWaitMs = 30_000;

/** Does `work` again, for as long as it takes, while the other side asks us to slow down. */
export async function patiently<T>(
  work: () => Promise<T>,
  run: { readonly signal: AbortSignal; readonly throttled: () => void },
): Promise<T> {
  for (let tries = 1; ; tries++)
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof RetryableError) || error.reason !== "throttled") throw error;
      run.throttled();
      const waitMs = Math.min(maxWaitMs, firstWaitMs * 2 ** (tries - 1));
      // Not all at once again.
      const jitteredMs = waitMs * (0.5 + Math.random() / 2);
      await sleep(error.retryAfterMs ?? jitteredMs, undefined, { signal: run.signal });
    }
}
