import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { openBackend } from "../core/backend.ts";
import type { Pipeline } from "../core/config/pipeline.ts";
import { give } from "../core/runtime/wishes.ts";
import { startRedis } from "../test/redis-server.ts";
import { sayer, sayMachine } from "./parts/say.ts";
import { batchSize } from "./scale/connectors.ts";
import type { ScaleReport } from "./scale/scale-child.ts";

const usage = `bench scale: what a second and a fourth process of one service bring, while the others run on untouched.

Source → chunker → sink on Redis, 4 partitions. The chunker takes 20 ms a document, one at a time a process. The first
chunker runs alone, then a second one joins, then two more; source and sink are never restarted. Counted at the sink.
At the end the source is stopped, everything drains, and what arrived is compared with what was published.

  --seconds N   measured with each number of processes (10)
  --json        one JSON line each
`;

const child = fileURLToPath(new URL("./scale/scale-child.js", import.meta.url));
const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: "string", default: "10" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const say = sayer(values.json);
  sayMachine(say);
  const dir = await mkdtemp(join(tmpdir(), "sluice-bench-scale-"));
  const redis = await startRedis(["--maxmemory-policy", "noeviction"]);
  const children: Child[] = [];
  const startChild = async (name: string, connectors: readonly object[]): Promise<Child> => {
    const file = join(dir, `${name}.json`);
    // A backlog of a few documents: what waits must not hide who is slow.
    const topics = { documents: { maxWaiting: 4 } };
    await writeFile(
      file,
      JSON.stringify({ project: "scale", queue: redis.url, topics, connectors }),
    );
    const one = openChild(file);
    children.push(one);
    return one;
  };
  const chunker = {
    name: "chunker",
    transform: "slow",
    from: "documents",
    to: "chunked",
  };
  try {
    const ends = await startChild("ends", [
      { name: "numbers", source: "numbers", to: "documents" },
      { name: "sink", sink: "checked", from: "chunked" },
    ]);
    const rates: number[] = [];
    for (const [processes, more] of [
      [1, 1],
      [2, 1],
      [4, 2],
    ] as const) {
      const joined = await Promise.all(
        Array.from({ length: more }, (_, at) =>
          startChild(`chunker-${processes}-${at}`, [chunker]),
        ),
      );
      await joined[0]?.until(({ consumers }) => consumers === processes);
      await sleep(3_000); // the partitions change hands
      const before = ends.last();
      const from = performance.now();
      await sleep(Number(values.seconds) * 1_000);
      const seconds = (performance.now() - from) / 1_000;
      const rate = ((ends.last()?.events ?? 0) - (before?.events ?? 0)) / seconds;
      rates.push(rate);
      say("throughput", {
        processes,
        documentsPerSecond: Number(rate.toFixed(1)),
        ratio: Number((rate / (rates[0] ?? rate)).toFixed(2)),
      });
    }
    const exact = await drained(redis.url, ends);
    const isUntouched = ends.last()?.startedAt === ends.first()?.startedAt;
    say("exactness", { ...exact, isUntouched });
    // The batch that the stop interrupted may be there in part: its checkpoint was not stored, so it would come again.
    const interrupted = exact.arrived - exact.published;
    const isExact = interrupted >= 0 && interrupted <= batchSize && exact.outOfOrder === 0;
    return isExact && isUntouched ? 0 : 1;
  } finally {
    await Promise.all(children.map((one) => one.stop()));
    await redis.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

/** Stops the source as a person would, and waits until all that it published has arrived. */
async function drained(url: string, ends: Child) {
  const place = { kind: "redis", url } as const;
  const settings = { partitions: 4, optional: false, maxWaiting: 100 };
  const topics = { documents: settings, chunked: settings };
  const pipeline: Pipeline = {
    project: "scale",
    queue: place,
    state: place,
    topics,
    connectors: [],
  };
  const backend = await openBackend(pipeline, { log });
  try {
    await give("stop", "numbers", { place: backend.state, initial: "running" });
    await sleep(2_000);
    const deadline = performance.now() + 120_000;
    for (;;) {
      const all = await backend.topics.subscriptions();
      if (all.every(({ waiting }) => waiting === 0)) break;
      if (performance.now() > deadline) throw new Error("the topics did not drain");
      await sleep(100);
    }
    await sleep(500);
    const { events = 0, published = 0, outOfOrder = 0 } = ends.last() ?? {};
    return { published, arrived: events, outOfOrder };
  } finally {
    await backend.close(1_000);
  }
}

type Child = ReturnType<typeof openChild>;

function openChild(file: string) {
  const process = fork(child, [file], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  let first: ScaleReport | undefined;
  let last: ScaleReport | undefined;
  process.on("message", (message) => {
    last = message as ScaleReport; // nothing else is sent
    first ??= last;
  });
  const ended = once(process, "exit");
  return {
    first: () => first,
    last: () => last,
    until: async (what: (report: ScaleReport) => boolean) => {
      const deadline = performance.now() + 30_000;
      while (!last || !what(last)) {
        if (performance.now() > deadline) throw new Error(`not in 30 s: ${JSON.stringify(last)}`);
        await sleep(20);
      }
    },
    stop: async () => {
      if (process.exitCode === null && process.connected) process.send("stop");
      await ended;
    },
  };
}
