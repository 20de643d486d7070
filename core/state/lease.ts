import type { Fence, Lease } from "./state.ts";

/**
 * Keeps a lease that was just acquired: renews it every third of `ttlMs`, and judges by our own
 * monotonic clock whether it is still ours, because a backend that cannot be reached tells nobody
 * that a lease has run out. Both implementations of `Leases` end with it.
 *
 * - `sentAt`: `performance.now()` before the request to acquire was sent.
 * - `renew`: false = somebody else holds it. Rejecting or hanging is no answer: tried again until the time is up.
 * - `release`: gives it up at the backend. Not called for a lease that was lost: work may still be on the wire,
 *   and the next holder must see it as inherited.
 */
export function holdLease(options: {
  readonly fence: Fence;
  readonly ttlMs: number;
  readonly sentAt: number;
  readonly inherited: boolean;
  readonly renew: () => Promise<boolean>;
  readonly release: () => Promise<void>;
}): Lease {
  const { fence, ttlMs, sentAt, inherited, renew, release } = options;
  const end = new AbortController();
  let until = sentAt + ttlMs;
  let released: Promise<void> | undefined;

  const renewals = setInterval(() => void extend(), ttlMs / 3).unref();
  let expiry = setTimeout(expire, until - performance.now()).unref();

  async function extend() {
    const askedAt = performance.now();
    let ours: boolean;
    try {
      ours = await renew();
    } catch {
      return; // The next tick asks again; `expire` ends it if none is answered in time.
    }
    if (end.signal.aborted) return;
    if (!ours || performance.now() >= until) return stop();
    until = Math.max(until, askedAt + ttlMs);
  }

  function expire() {
    const leftMs = until - performance.now();
    if (leftMs <= 0) stop();
    else expiry = setTimeout(expire, leftMs).unref();
  }

  function stop() {
    clearInterval(renewals);
    clearTimeout(expiry);
    end.abort();
  }

  return {
    ...fence,
    inherited,
    signal: end.signal,
    until: () => until,
    release: () => {
      if (released) return released;
      const lost = end.signal.aborted || performance.now() >= until;
      stop();
      return (released = lost ? Promise.resolve() : release());
    },
  };
}
