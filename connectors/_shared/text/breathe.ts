import { setImmediate } from "node:timers/promises";

/** Lets the other work of this thread run if it has waited long; throws when the work is to stop. */
export type Breathe = () => Promise<void>;

/**
 * For one long computation, to be called between its steps: timers, requests and signals must not
 * wait for the end of it.
 */
export function breather(signal: AbortSignal): Breathe {
  let since = performance.now();
  return async () => {
    if (performance.now() - since < 10) return;
    await setImmediate();
    signal.throwIfAborted();
    since = performance.now();
  };
}
