import { Redis } from "ioredis";
import { expect, it, onTestFinished } from "vitest";
import { startRedis } from "../../../test/redis-server.ts";
import type { Log } from "../../connector.ts";
import { FencedError } from "../../errors.ts";
import { upserted, type SluiceEvent } from "../../event.ts";
import { unreplicated } from "../../state/redis/replication.ts";
import { version } from "../../version.ts";
import { openJobEvents } from "./events.ts";
import { bodiesKey, jobKey, publishersKey, queueNames } from "./names.ts";
import { newJobs } from "./new-jobs.ts";
import { openQueues } from "./queues.ts";
import { openServerRuns } from "./server-run.ts";

// What a client sends again when it connects anew: here it is sent late the first time, which the server cannot tell apart.

const place = { project: "late", topic: "articles", name: "search", generation: "1", partition: 0 };
const names = queueNames(place);
const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
const holder = (token: number) => ({
  serverRun: "",
  history: "",
  fence: { lease: "reader/source", token },
});

function event(n: number, body = ""): SluiceEvent {
  const at = version({ epoch: 0, position: BigInt(n), rank: 1, tail: 0 });
  const about = { source: "/x", key: "a", subject: "a", version: at, meta: {} };
  return upserted({ ...about, time: "2026-01-01T00:00:00Z", op: "update", after: { n, body } });
}

function jobOf(...events: readonly SluiceEvent[]) {
  const [job, ...others] = newJobs(events);
  if (!job || others.length > 0) throw new Error("not one job");
  return job;
}

async function server() {
  const redis = await startRedis();
  onTestFinished(redis.stop);
  const queueOn = async () => {
    const client = new Redis(redis.url);
    onTestFinished(() => client.disconnect());
    const on = {
      client,
      replication: unreplicated,
      replicas: 0,
      probe: async () => {},
      close() {},
    };
    return { client, queue: await openQueues(on, silent)(place) };
  };
  return { queueOn };
}

/** Keeps what makes a job visible until it is let go. */
function holdBack(client: Redis, isHeld: (name: string) => boolean) {
  const send = client.sendCommand.bind(client);
  const held: (() => void)[] = [];
  client.sendCommand = (command, stream) => {
    if (!isHeld(command.name)) return send(command, stream);
    held.push(() => void send(command, stream));
    return command.promise;
  };
  return {
    count: () => held.length,
    letGo: () => {
      client.sendCommand = send;
      for (const one of held) one();
    },
  };
}

/** What a worker finds, job by job, in order. */
async function found(client: Redis): Promise<readonly (readonly SluiceEvent[] | undefined)[]> {
  const currentRun = openServerRuns({ client, replicas: 0 }, silent);
  const jobEvents = openJobEvents({ client, names, currentRun, log: silent });
  const ids = (await client.lrange(jobKey(names, "wait"), 0, -1)).toReversed();
  return Promise.all(
    ids.map(async (id) => {
      const data = await client.hget(jobKey(names, id), "data");
      return jobEvents.read(id, JSON.parse(data ?? "") as { pieces: number; serverRun: string });
    }),
  );
}

it("a job that lands behind the next holder's brings nothing, of however many pieces", async () => {
  const { queueOn } = await server();
  const [before, after] = [await queueOn(), await queueOn()];
  const way = holdBack(before.client, (name) => name === "evalsha");
  const large = jobOf(event(1, "x".repeat(90_000)), event(2, "x".repeat(90_000)));
  expect(large.pieces).toHaveLength(2);
  const late = before.queue.add(large, holder(7));
  await expect.poll(way.count).toBe(1);
  await after.queue.add(jobOf(event(3)), holder(8));
  way.letGo();
  await late;
  expect(await found(after.client)).toEqual([[event(3)], []]);
});

it("a job that had landed before stays, and its holder's next one is refused", async () => {
  const { queueOn } = await server();
  const [before, after] = [await queueOn(), await queueOn()];
  await before.queue.add(jobOf(event(1)), holder(7));
  await before.queue.add(jobOf(event(2)), holder(7));
  await after.queue.add(jobOf(event(2)), holder(8));
  const refused = before.queue.add(jobOf(event(3)), holder(7));
  await expect(refused).rejects.toThrow(FencedError);
  await expect(refused).rejects.toMatchObject({ code: "queue.fenced" });
  expect(await found(after.client)).toEqual([[event(1)], [event(2)], [event(2)]]);
  await after.queue.obliterate();
  expect(await after.client.exists(bodiesKey(names), publishersKey(names))).toBe(0);
});

it("events that arrive behind the next holder's are refused", async () => {
  const { queueOn } = await server();
  const [before, after] = [await queueOn(), await queueOn()];
  const way = holdBack(before.client, (name) => name === "eval");
  const late = before.queue.add(jobOf(event(1)), holder(7));
  const refused = expect(late).rejects.toThrow(FencedError);
  await expect.poll(way.count).toBe(1);
  await after.queue.add(jobOf(event(2)), holder(8));
  way.letGo();
  await refused;
  expect(await found(after.client)).toEqual([[event(2)]]);
});

it("who holds another lease, or none, is nobody's successor", async () => {
  const { queueOn } = await server();
  const [before, after] = [await queueOn(), await queueOn()];
  const way = holdBack(before.client, (name) => name === "evalsha");
  const late = before.queue.add(jobOf(event(1)), holder(7));
  await expect.poll(way.count).toBe(1);
  const other = { ...holder(8), fence: { lease: "other/source", token: 8 } };
  await after.queue.add(jobOf(event(2)), other);
  await after.queue.add(jobOf(event(3)), { serverRun: "", history: "" });
  way.letGo();
  await late;
  expect(await found(after.client)).toEqual([[event(2)], [event(3)], [event(1)]]);
});
