import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { SnapshotRequest } from "../connector.ts";
import { SluiceError } from "../errors.ts";
import { fakes } from "../testing/index.ts";
import {
  askedWrite,
  askSnapshot,
  cancelSnapshots,
  fateOf,
  pendingRequests,
  requestFeed,
} from "./requests.ts";

const log = { debug() {}, info() {}, warn() {}, error() {} };

async function opened(place = fakes.state()) {
  place.lapse("source");
  const lease = await place.leases.acquire("source", 10_000);
  if (!lease) throw new Error("the lease was just freed");
  const stop = new AbortController();
  const feed = requestFeed(place.state, { fence: lease, log, signal: stop.signal });
  const given: SnapshotRequest[] = [];
  const over = (async () => {
    for await (const request of feed.requests) given.push(request);
  })();
  const end = async () => {
    stop.abort();
    await over;
  };
  return { place, feed, given, end };
}
const ids = (requests: readonly { readonly id: string }[]) => requests.map(({ id }) => id);

describe("what is asked of a source", () => {
  it("sorts by when it was asked", async () => {
    const { state } = fakes.state();
    const asked: string[] = [];
    for (const name of ["c", "a", "b"]) {
      asked.push((await askSnapshot(state, { collections: [name] })).request.id);
      await sleep(2);
    }
    expect(ids(await pendingRequests(state))).toEqual(asked);
  });

  it("is not asked twice before it has begun, whatever the order of its collections", async () => {
    const { state } = fakes.state();
    const first = await askSnapshot(state, { collections: ["b", "a"] });
    expect(first.isNew).toBe(true);
    const again = await askSnapshot(state, { collections: ["a", "b", "a"] });
    expect(again).toEqual({ request: first.request, isNew: false });
    expect((await askSnapshot(state)).isNew).toBe(true);
    await state.each([askedWrite({ id: "x", audience: "late", collections: ["c"] })]);
    expect((await askSnapshot(state, { collections: ["c"] })).isNew).toBe(true);
  });

  it("is asked again once the same has begun", async () => {
    const place = fakes.state();
    const { request } = await askSnapshot(place.state);
    const { given, end } = await opened(place);
    await expect.poll(() => ids(given)).toEqual([request.id]);
    expect(await fateOf(place.state, request.id)).toBe("begun");
    expect((await askSnapshot(place.state)).isNew).toBe(true);
    await end();
  });
});

it("what people asked for can be taken back, catch-ups cannot", async () => {
  const place = fakes.state();
  const { request } = await askSnapshot(place.state);
  await place.state.each([askedWrite({ id: "1", audience: "late" })]);
  expect(ids(await cancelSnapshots(place.state))).toEqual([request.id]);
  expect(ids(await pendingRequests(place.state))).toEqual(["1"]);
  expect(await cancelSnapshots(place.state)).toEqual([]);
  expect(await fateOf(place.state, request.id)).toBe("cancelled");
  expect((await askSnapshot(place.state)).isNew).toBe(true);
});

it("that its source refuses is not asked again, and whoever waits is told why", async () => {
  const place = fakes.state();
  const { request } = await askSnapshot(place.state, { collections: ["none"] });
  const { feed, given, end } = await opened(place);
  await expect.poll(() => ids(given)).toEqual([request.id]);
  const why = { code: "x.unknown", fix: "Name another." };
  await feed.refuse(request.id, new SluiceError("x: there is no none.", why));
  expect(await fateOf(place.state, request.id)).toEqual({
    ...why,
    message: "x: there is no none.",
  });
  expect(await pendingRequests(place.state)).toEqual([]);
  expect((await askSnapshot(place.state, { collections: ["none"] })).isNew).toBe(true);
  await end();
});

describe("a run of the source", () => {
  it("gets each request once, in the order of asking, without what the runner notes about it", async () => {
    const { place, feed, given, end } = await opened();
    const asked: SnapshotRequest[] = [
      { id: "1", collections: ["a"] },
      { id: "2", audience: "late" },
      { id: "3" },
    ];
    await place.state.each(asked.toReversed().map(askedWrite));
    feed.look();
    await expect.poll(() => given).toEqual(asked);
    feed.look();
    await place.state.each([askedWrite({ id: "0" })]); // a clock that is behind
    await expect.poll(() => ids(given)).toEqual(["1", "2", "3", "0"]);
    await end();
  });

  it("notices what another process asked within a second", async () => {
    const { place, given, end } = await opened();
    await sleep(50); // it looked, found nothing and waits
    const before = performance.now();
    await place.state.each([askedWrite({ id: "1" })]);
    await expect.poll(() => given.length, { interval: 5 }).toBe(1);
    expect(performance.now() - before).toBeLessThan(1_000);
    await end();
  });

  it("notices what its own process asked at once", async () => {
    const { place, feed, given, end } = await opened();
    await sleep(50);
    await place.state.each([askedWrite({ id: "1" })]);
    const before = performance.now();
    feed.look();
    await expect.poll(() => given.length, { interval: 5 }).toBe(1);
    expect(performance.now() - before).toBeLessThan(200);
    await end();
  });

  it("gets what an earlier run did not complete, and never what it completes unasked", async () => {
    const place = fakes.state();
    await place.state.each(["1", "2"].map((id) => askedWrite({ id })));
    const first = await opened(place);
    await expect.poll(() => ids(first.given)).toEqual(["1", "2"]);
    await place.state.all(first.feed.completed(["1"]));
    await first.end();
    const second = await opened(place);
    await expect.poll(() => ids(second.given)).toEqual(["2"]);
    // It completes what its checkpoint remembers, as the request comes in.
    const writes = second.feed.completed(["3"]);
    await place.state.each([askedWrite({ id: "3" }), askedWrite({ id: "4" })]);
    second.feed.look();
    await expect.poll(() => ids(second.given)).toEqual(["2", "4"]);
    await place.state.all(writes);
    expect(ids(await pendingRequests(place.state))).toEqual(["2", "4"]);
    await second.end();
  });

  it("gets the same again when it is asked for again after it was completed", async () => {
    const { place, feed, given, end } = await opened();
    await place.state.each([askedWrite({ id: "1" })]);
    feed.look();
    await expect.poll(() => ids(given)).toEqual(["1"]);
    await place.state.all(feed.completed(["1"]));
    await place.state.each([askedWrite({ id: "2" })]);
    feed.look();
    await expect.poll(() => ids(given)).toEqual(["1", "2"]);
    await place.state.each([askedWrite({ id: "1" })]);
    feed.look();
    await expect.poll(() => ids(given)).toEqual(["1", "2", "1"]);
    await end();
  });

  it("ends on abort although the state does not answer", async () => {
    const stop = new AbortController();
    const { state, leases } = fakes.state();
    const lease = await leases.acquire("source", 1_000);
    if (!lease) throw new Error("it is free");
    const never = new Promise<never>(() => {});
    const silent = {
      ...state,
      async *scan() {
        yield await never;
      },
    };
    const { requests } = requestFeed(silent, { fence: lease, log, signal: stop.signal });
    const next = requests[Symbol.asyncIterator]().next();
    stop.abort();
    expect(await next).toEqual({ done: true, value: undefined });
  });
});

it("the fate of a request tells done from gone", async () => {
  const { state } = fakes.state();
  const { request } = await askSnapshot(state);
  expect(await fateOf(state, request.id)).toBe("asked");
  await state.each([{ key: `requests/${request.id}`, value: undefined }]);
  expect(await fateOf(state, request.id)).toBe("gone");
  await state.each([{ key: "checkpoint", value: {} }]);
  expect(await fateOf(state, request.id)).toBe("done");
});
