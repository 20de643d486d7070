import { setTimeout as sleep } from "node:timers/promises";

const firstDelayMs = 100;

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
  await sleep(Math.max(atLeastMs, ceiling * (0.5 + Math.random() / 2)), undefined, { signal });
}
