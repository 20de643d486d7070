import { setTimeout as sleep } from "node:timers/promises";

const firstDelayMs = 100;
/** What is more is no delay at all to a timer. */
const longestMs = 2 ** 31 - 1;

/** Waits before try number `tries` + 1: exponential with full jitter, at least `atLeastMs`. Rejects on abort. */
export async function backoff(
  tries: number,
  options: {
    readonly maxDelayMs: number;
    readonly atLeastMs?: number;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { maxDelayMs, atLeastMs = 0, signal } = options;
  const ceiling = Math.min(maxDelayMs, firstDelayMs * 2 ** Math.min(tries, 20));
  const delayMs = Math.max(atLeastMs, ceiling * (0.5 + Math.random() / 2));
  await sleep(Math.min(delayMs, longestMs), undefined, { signal });
}
