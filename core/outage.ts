import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "./connector.ts";

/** Queue or state cannot be used. */
export interface Outage {
  /** RFC 3339. */
  readonly since: string;
  /** Why, by the last look. */
  readonly error: unknown;
}

export interface OutageWatch {
  /** Undefined while all is well, and for the first seconds in which it is not: most of what passes is over by then. */
  readonly now: () => Outage | undefined;
  readonly close: () => void;
}

const everyMs = 1_000;
const afterMs = 3_000;
/** So that what is refused again and again, and served in between, is one outage. */
const calmMs = 2_000;

/**
 * Looks once a second whether queue and state can be used, by `probe`, which rejects when they cannot. An outage is
 * worth one line when it begins and one when it ends, not one a retry.
 */
export function watchOutages(options: {
  readonly probe: () => Promise<void>;
  readonly log: Log;
}): OutageWatch {
  const { probe, log } = options;
  const closing = new AbortController();
  const { signal } = closing;
  /** Times are of `Date.now()`. */
  let trouble:
    | { readonly since: number; readonly last: number; readonly error: unknown }
    | undefined;
  let isOutage = false;

  void follow(); // never rejects
  return {
    now: () =>
      trouble && isOutage
        ? { since: new Date(trouble.since).toISOString(), error: trouble.error }
        : undefined,
    close: () => closing.abort(),
  };

  async function follow(): Promise<void> {
    while (!signal.aborted) {
      const askedAt = Date.now();
      const failure = await probe().then(
        () => undefined,
        (error: unknown) => ({ error }),
      );
      if (signal.aborted) return;
      if (failure) failed(failure.error, askedAt);
      else succeeded();
      await sleep(everyMs, undefined, { signal, ref: false }).catch(() => undefined); // closed
    }
  }

  function failed(error: unknown, askedAt: number): void {
    const last = Date.now();
    trouble = { since: trouble?.since ?? askedAt, last, error };
    if (isOutage || last - trouble.since < afterMs) return;
    isOutage = true;
    log.warn({ error }, "the queue cannot be used: waiting for it");
  }

  function succeeded(): void {
    if (!trouble || Date.now() - trouble.last < calmMs) return;
    const { since } = trouble;
    if (isOutage)
      log.info({ outageMs: Date.now() - since }, "the queue can be used again: everything goes on");
    trouble = undefined;
    isOutage = false;
  }
}
