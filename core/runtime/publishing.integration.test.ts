import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startRedis, type RedisServer } from "../../test/redis-server.ts";
import { openBackend } from "../backend.ts";
import type { Place } from "../config/pipeline.ts";
import { FencedError } from "../errors.ts";
import { upserted, type SluiceEvent } from "../event.ts";
import { partitionOf } from "../queue/partition.ts";
import type { Topics } from "../queue/queue.ts";
import type { Lease } from "../state/state.ts";
import { version } from "../version.ts";
import { idOf } from "./place-id.ts";
import { openPublishing } from "./publishing.ts";

const [topic, subscription, connector] = ["numbers", "all", "reader"];
const { signal } = new AbortController();
let redis: RedisServer;
let dir = "";
beforeAll(async () => {
  redis = await startRedis();
  dir = await mkdtemp(join(tmpdir(), "sluice-publishing-"));
});
afterAll(async () => {
  await redis.stop();
  await rm(dir, { recursive: true });
});

function event(n: number, key = "a"): SluiceEvent {
  const at = version({ epoch: 0, position: BigInt(n), rank: 1, tail: 0 });
  const about = { source: "/x", key, subject: key, version: at, meta: {} };
  return upserted({ ...about, time: "2026-01-01T00:00:00Z", op: "update", after: { n } });
}

const embedded = (name: string): Place => ({ kind: "embedded", dir: join(dir, name) });
const onRedis = (): Place => ({ kind: "redis", url: redis.url });
let projects = 0;

describe.each([
  ["one file", () => embedded("both"), () => embedded("both"), false],
  ["Redis", onRedis, onRedis, false],
  ["Redis and a file", onRedis, () => embedded("state"), true],
])("publishing under a lease, with queue and state in %s", (_, queue, state, isApart) => {
  const open = async (project: string, place = state()) => {
    const topics = { [topic]: { partitions: 1, optional: false, maxWaiting: 100 } };
    const warnings: string[] = [];
    const log = {
      debug() {},
      info() {},
      warn: (_: object, text: string) => void warnings.push(text),
      error() {},
    };
    const pipeline = { project, queue: queue(), state: place, topics, connectors: [] };
    const backend = await openBackend(pipeline, { log });
    onTestFinished(() => backend.close(1_000));
    await backend.topics.subscribe({ topic, name: subscription });
    const scope = backend.state.scope(connector);
    const { topics: queued, state: stored } = backend;
    const publishing = openPublishing(connector, { topics: queued, place: stored, log });
    const publish = (n: number, fence: Lease) => publishing(topic, [event(n)], { signal, fence });
    const acquire = async () => {
      const lease = await scope.leases.acquire("source", 60_000);
      if (!lease) throw new Error("the lease is held");
      return lease;
    };
    return { ...backend, scope, publish, acquire, warnings };
  };
  const projectOf = () => `publishing-${process.pid}-${projects++}`;

  /** What the subscription is given, until as many have come. */
  async function seen(topics: Topics, count: number): Promise<readonly unknown[]> {
    const numbers: unknown[] = [];
    const stop = new AbortController();
    const consumed = topics.consume(
      topic,
      subscription,
      async (events) => {
        for (const { data } of events) numbers.push((data as { after: { n: number } }).after.n);
      },
      { signal: stop.signal },
    );
    await expect.poll(() => numbers.length, { timeout: 10_000 }).toBeGreaterThanOrEqual(count);
    await expect
      .poll(async () => (await topics.subscriptions(topic)).map(({ waiting }) => waiting))
      .toEqual([0]);
    stop.abort();
    await consumed;
    return numbers;
  }

  it("refuses who was succeeded", async () => {
    const project = projectOf();
    const [before, after] = [await open(project), await open(project)];
    const first = await before.acquire();
    await before.publish(1, first);
    await first.release();
    const second = await after.acquire();
    await after.publish(2, second);
    await expect(before.publish(1, first)).rejects.toThrow(FencedError);
    await after.publish(3, second);
    expect(await seen(after.topics, 3)).toEqual([1, 2, 3]);
    expect([...before.warnings, ...after.warnings]).toEqual([]);
    await second.release();
  });

  it("goes on at once where the state went back, and then refuses who was succeeded", async () => {
    const { topics, state: place, publish, acquire, warnings } = await open(projectOf());
    const first = await acquire();
    await publish(1, first);
    await first.release();
    // What a backup does not know of: many holders, and what they published.
    const lease = `${connector}/source/${await idOf(place)}/`;
    const token = first.token + 1_000_000;
    await topics.publish(topic, [event(2)], { signal, fence: { lease, token } });
    const second = await acquire();
    for (const n of [3, 4]) await publish(n, second);
    await second.release();
    const third = await acquire();
    await publish(5, third);
    await expect(publish(3, second)).rejects.toThrow(FencedError);
    expect(await seen(topics, 5)).toEqual([1, 2, 3, 4, 5]);
    expect(warnings).toHaveLength(1);
    await third.release();
  });

  it("refuses who was succeeded when the connector was removed in between", async () => {
    const project = projectOf();
    const [before, after] = [await open(project), await open(project)];
    const first = await before.acquire();
    await before.publish(1, first);
    await first.release();
    const keys: string[] = [];
    for await (const page of after.scope.state.scan("")) keys.push(...page.map(({ key }) => key));
    await after.scope.state.each(keys.map((key) => ({ key, value: undefined })));
    const second = await after.acquire();
    await after.publish(2, second);
    await expect(before.publish(1, first)).rejects.toThrow(FencedError);
    expect(await seen(after.topics, 2)).toEqual([1, 2]);
    await second.release();
  });

  if (isApart)
    it("takes a state that is another one for a stranger, however far its leases are", async () => {
      const project = projectOf();
      const old = await open(project);
      // A minute ahead of the clock: a busy machine may take some seconds for what follows.
      for (let holders = 0; holders < 60; holders++) await (await old.acquire()).release();
      const [first, fresh] = [await old.acquire(), await open(project, embedded("another"))];
      await old.publish(1, first);
      const second = await fresh.acquire();
      expect(second.token).toBeLessThan(first.token);
      await fresh.publish(2, second);
      await old.publish(3, first);
      await fresh.publish(4, second);
      expect(await seen(old.topics, 4)).toEqual([1, 2, 3, 4]);
      expect([...old.warnings, ...fresh.warnings]).toEqual([]);
      await Promise.all([first.release(), second.release()]);
    });
});

it("is refused by one partition once nothing is on its way to another", async () => {
  const topics = { [topic]: { partitions: 2, optional: false, maxWaiting: 2 } };
  const project = `publishing-${process.pid}-${projects++}`;
  const pipeline = { project, queue: onRedis(), state: onRedis(), topics, connectors: [] };
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const backend = await openBackend(pipeline, { log });
  onTestFinished(() => backend.close(1_000));
  await backend.topics.subscribe({ topic, name: subscription });
  const keyOf = (partition: number) =>
    ["a", "b", "c", "d", "e"].find((key) => partitionOf(event(0, key), 2) === partition);
  const [known, full] = [keyOf(0), keyOf(1)];
  const publish = (events: readonly SluiceEvent[], token?: number) => {
    const fence = token === undefined ? {} : { fence: { lease: "reader/source", token } };
    return backend.topics.publish(topic, events, { signal, ...fence });
  };
  for (const n of [1, 2]) await publish([event(n, full)]);
  await publish([event(3, known)], 8);
  let outcome: unknown = "pending";
  const refused = publish([event(4, known), event(5, full)], 7).catch((error: unknown) => {
    outcome = error;
  });
  await sleep(500);
  expect(outcome).toBe("pending");
  const got: number[] = [];
  const stop = new AbortController();
  const take = async (events: readonly SluiceEvent[]) => {
    for (const { data } of events) got.push((data as { after: { n: number } }).after.n);
  };
  const consumed = backend.topics.consume(topic, subscription, take, { signal: stop.signal });
  await refused;
  expect(outcome).toBeInstanceOf(FencedError);
  await expect.poll(() => got.toSorted((a, b) => a - b), { timeout: 10_000 }).toEqual([1, 2, 3, 5]);
  stop.abort();
  await consumed;
});
