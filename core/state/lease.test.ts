import { once } from "node:events";
import { expect, it } from "vitest";
import { holdLease } from "./lease.ts";

const ttlMs = 150;

function hold(renew: () => Promise<boolean>, release: () => Promise<void> = async () => {}) {
  const fence = { lease: "source", token: 7 };
  return holdLease({ fence, ttlMs, sentAt: performance.now(), inherited: false, renew, release });
}

it("stays ours while renewals succeed, and counts from before the request", async () => {
  let askedAt = 0;
  let renewals = 0;
  const lease = await new Promise<ReturnType<typeof hold>>((resolve) => {
    const held = hold(async () => {
      if (++renewals === 5) resolve(held);
      else askedAt = performance.now();
      return true;
    });
  });
  expect(lease.signal.aborted).toBe(false);
  expect(lease.until()).toBeGreaterThan(performance.now());
  expect(lease.until()).toBeLessThanOrEqual(askedAt + ttlMs);
  await lease.release();
});

it("is lost at once when somebody else holds it", async () => {
  const start = performance.now();
  const lease = hold(async () => false);
  await once(lease.signal, "abort");
  expect(performance.now() - start).toBeLessThan(ttlMs);
});

for (const [how, renew] of [
  ["fail", () => Promise.reject(new Error("unreachable"))],
  ["hang", () => new Promise<boolean>(() => {})],
] as const)
  it(`is lost by our own clock when renewals ${how}`, async () => {
    let released = false;
    const lease = hold(renew, async () => void (released = true));
    const until = lease.until();
    await once(lease.signal, "abort");
    expect(performance.now()).toBeGreaterThanOrEqual(until - 1);
    await lease.release();
    expect(released).toBe(false);
  });

it("is lost when the process slept through its end, even if the renewal then succeeds", async () => {
  const lease = hold(async () => true);
  const ended = once(lease.signal, "abort");
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ttlMs + 50);
  expect(lease.until()).toBeLessThan(performance.now());
  await ended;
});

it("ends with its release, which happens once", async () => {
  let releases = 0;
  const lease = hold(
    async () => true,
    async () => void releases++,
  );
  await Promise.all([lease.release(), lease.release()]);
  expect(releases).toBe(1);
  expect(lease.signal.aborted).toBe(true);
});
