import { cpus, loadavg } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Log } from "../core/connector.ts";
import { upserted } from "../core/event.ts";
import { openBullmqTopics } from "../core/queue/bullmq/index.ts";
import { queueNames } from "../core/queue/bullmq/names.ts";
import { defaultLeaseMs, defaultWriteTimeoutMs } from "../core/queue/options.ts";
import { openRedisState } from "../core/state/redis/index.ts";
import { version } from "../core/version.ts";
import { openGround } from "../test/chaos/counted/ground.ts";

const everyMs = 20;
const beforeMs = 2_000;
const afterMs = 2_000;
const patienceMs = 60_000;
const topic = "numbers";
const name = "reader";
const project = "failover";

const usage = `bench failover: an event every ${everyMs} ms through a topic of one partition, while the Redis server that holds it is
killed with -9: how long nothing is handled, and that nothing is lost. A cluster (cluster-node-timeout 2 s) and sentinels
(down after 1.5 s) promote a replica; one Redis alone is started again at once.

  --rounds N           of each (3)
  --json               one JSON line a round, then one a kind
`;

const kinds = ["redis", "sentinel", "cluster"] as const;

export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "3" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const print = (line: object) =>
    process.stdout.write(
      values.json
        ? `${JSON.stringify(line)}\n`
        : `${Object.entries(line)
            .map(([field, value]) => `${field} ${value}`)
            .join("  ")}\n`,
    );
  print({ benchmark: "failover", node: process.version, cores: cpus().length, load: loadavg()[0] });
  let lost = 0;
  for (const kind of kinds) {
    const pauses: number[] = [];
    for (let round = 1; round <= Number(values.rounds); round++) {
      const measured = await measure(kind);
      print({ kind, round, ...measured });
      pauses.push(measured.pauseMs);
      lost += measured.missing;
    }
    pauses.sort((a, b) => a - b);
    print({ kind, medianMs: pauses[pauses.length >> 1], longestMs: pauses.at(-1) });
  }
  return lost === 0 ? 0 : 1;
}

async function measure(kind: (typeof kinds)[number]) {
  const ground = await openGround(kind, "");
  const { place } = ground;
  if (place.kind !== "redis") throw new Error("no Redis");
  const log: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const state = await openRedisState({ url: place.url, project, log });
  const topics = await openBullmqTopics({
    url: place.url,
    project,
    settings: () => ({ partitions: 1, optional: false, maxWaiting: 100 }),
    scope: state.scope,
    log,
    leaseMs: defaultLeaseMs,
    writeTimeoutMs: defaultWriteTimeoutMs,
  });
  const stop = new AbortController();
  const handledAt = new Map<number, number>();
  let published = 0;
  try {
    await topics.subscribe({ topic, name });
    const [subscriber] = await topics.subscribers(topic);
    const generation = subscriber?.generation ?? "";
    const consumed = topics.consume(
      topic,
      name,
      async (events) => {
        for (const { subject } of events) handledAt.set(Number(subject), performance.now());
      },
      { signal: stop.signal },
    );
    const ended = new AbortController();
    const publishing = (async () => {
      for (; !ended.signal.aborted; published++) {
        await topics.publish(topic, [numbered(published)], { signal: stop.signal });
        await sleep(everyMs);
      }
    })();
    await until(() => handledAt.size > 10);
    await sleep(beforeMs);
    const { prefix } = queueNames({ project, topic, name, generation, partition: 0 });
    const primary = await ground.primary(prefix);
    const killedAt = performance.now();
    await primary.kill();
    if (kind === "redis") await primary.restart();
    await until(() => [...handledAt.values()].some((at) => at > killedAt + 500));
    await sleep(afterMs);
    ended.abort();
    await publishing;
    await until(() => handledAt.size === published).catch(() => {}); // the count tells
    stop.abort();
    await consumed;
    return {
      pauseMs: Math.round(longestGap([...handledAt.values()], killedAt)),
      published,
      missing: published - handledAt.size,
    };
  } finally {
    stop.abort();
    await topics.close(1_000);
    await state.close();
    await ground.stop();
  }
}

function numbered(n: number) {
  return upserted({
    source: "/failover",
    key: String(n),
    subject: String(n),
    version: version({ epoch: 0, position: BigInt(n), rank: 1, tail: 0 }),
    time: new Date().toISOString(),
    op: "create",
    after: { n },
    meta: {},
  });
}

/** Between one event and the next, of those that ended after `from`. */
function longestGap(times: readonly number[], from: number): number {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted.reduce(
    (longest, at, n) =>
      at < from || n === 0 ? longest : Math.max(longest, at - (sorted[n - 1] ?? at)),
    0,
  );
}

async function until(isSo: () => boolean): Promise<void> {
  const end = performance.now() + patienceMs;
  while (!isSo()) {
    if (performance.now() > end) throw new Error(`not within ${patienceMs / 1_000} s`);
    await sleep(10);
  }
}
