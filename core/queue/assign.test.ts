import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openEmbeddedState } from "../state/embedded/index.ts";
import type { Scope, StatePlace } from "../state/state.ts";
import { openRefusals } from "./refusals.ts";
import { countConsumers, sharePartitions, type Sharing } from "./assign.ts";

let dir: string;
let place: StatePlace;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "sluice-assign-"));
  place = openEmbeddedState({ dir });
});
afterAll(async () => {
  await place.close();
  rmSync(dir, { recursive: true, force: true });
});

const leaseMs = 600;
const ascending = (a: number, b: number) => a - b;

/** One consumer and the partitions it works on. */
function share(scope: Scope, options: Partial<Sharing> = {}) {
  const stop = new AbortController();
  const holds = new Set<number>();
  const logged: string[] = [];
  const note = (_: object, message: string) => void logged.push(message);
  const done = sharePartitions({
    scope,
    topic: "t",
    partitions: 5,
    leaseMs,
    refusals: openRefusals(),
    log: { debug: note, info: note, warn: note, error: note },
    signal: stop.signal,
    work: async (partition, { signal }) => {
      holds.add(partition);
      if (!signal.aborted) await once(signal, "abort");
      holds.delete(partition);
    },
    ...options,
  });
  return { holds, logged, stop: () => (stop.abort(), done) };
}

it("splits evenly among all who are there, and what is left goes to the eldest", async () => {
  const scope = place.scope("even");
  const first = share(scope);
  await expect.poll(() => first.holds.size).toBe(5);
  const others = [share(scope), share(scope)];
  await expect
    .poll(() => [first, ...others].map(({ holds }) => holds.size).toSorted(ascending), {
      timeout: 5_000,
    })
    .toEqual([1, 2, 2]);
  expect(first.holds.size).toBe(2);
  expect(await countConsumers(scope, "t")).toBe(3);
  await Promise.all(others.map(({ stop }) => stop()));
  await expect.poll(() => first.holds.size).toBe(5);
  await first.stop();
  expect(first.holds.size).toBe(0);
  expect(await countConsumers(scope, "t")).toBe(0);
});

it("leaves nothing to more consumers than partitions, until one goes", async () => {
  const scope = place.scope("standby");
  const first = share(scope, { partitions: 1 });
  await expect.poll(() => first.holds.size).toBe(1);
  const second = share(scope, { partitions: 1 });
  await expect.poll(() => countConsumers(scope, "t")).toBe(2);
  expect(second.holds.size).toBe(0);
  await first.stop();
  await expect.poll(() => second.holds.size).toBe(1);
  await second.stop();
});

it("runs work that failed again, in the same tenure", async () => {
  const tokens: number[] = [];
  const sharing = share(place.scope("failing"), {
    partitions: 1,
    work: async (_, { lease }) => {
      tokens.push(lease.token);
      throw new Error("no");
    },
  });
  await expect.poll(() => tokens.length, { timeout: 5_000 }).toBe(3);
  await sharing.stop();
  expect(new Set(tokens).size).toBe(1);
  expect(sharing.logged).toContain("partition failed, runs again");
});

it("comes back by itself when state did not answer for longer than the leases last", async () => {
  const scope = place.scope("outage");
  let isDown = false;
  const guard = <A extends unknown[], R>(call: (...args: A) => Promise<R>) => {
    return async (...args: A) => {
      if (isDown) throw new Error("state is away");
      return call(...args);
    };
  };
  const first = share({
    state: { ...scope.state, each: guard(scope.state.each) },
    leases: { acquire: guard(scope.leases.acquire) },
    count: guard(scope.count),
  });
  await expect.poll(() => first.holds.size).toBe(5);
  isDown = true;
  await expect.poll(() => countConsumers(scope, "t"), { timeout: 5_000 }).toBe(0);
  const second = share(scope);
  isDown = false;
  await expect
    .poll(() => [first.holds.size, second.holds.size].toSorted(ascending), { timeout: 5_000 })
    .toEqual([2, 3]);
  await Promise.all([first.stop(), second.stop()]);
});

it("does not count the members of a topic whose name begins the same", async () => {
  const scope = place.scope("names");
  const inner = share(scope, { topic: "t/inner" });
  await expect.poll(() => countConsumers(scope, "t/inner")).toBe(1);
  expect(await countConsumers(scope, "t")).toBe(0);
  await inner.stop();
});
