import { cpus, totalmem } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { startRedis } from "../test/redis-server.ts";
import { embeddedTopics, rawStreams, redisTopics, type Open } from "./queue/contenders.ts";
import { openCheck, openLoad } from "./queue/load.ts";

const yieldEvents = 1_000;
const warmUpMs = 500;
const drainMs = 30_000;

const usage = `bench queue: events/s from publish to consume, ~1 KB events, ${yieldEvents} a yield, one process.

  --seconds N          how long a round publishes, after a warm-up (4)
  --rounds N           rounds of each variant, interleaved (3)
  --partitions LIST    (1,4,16)
  --backend NAME       redis (with raw Redis Streams beside it), embedded or all (all)
  --redis URL          a running Redis; without it one is started: append-only file, fsync every second
  --json               one JSON line a round, then one a variant
`;

interface Round {
  readonly variant: string;
  readonly partitions: number;
  readonly round: number;
  /** Null: the counts were wrong, so the rate says nothing. */
  readonly eventsPerSecond: number | null;
  readonly events: number;
  readonly missing: number;
  readonly orderViolations: number;
  /** Of this process, producer and consumer; the server's own not counted. */
  readonly cpuSecondsPerMillion: number;
}

export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: "string", default: "4" },
      rounds: { type: "string", default: "3" },
      partitions: { type: "string", default: "1,4,16" },
      backend: { type: "string", default: "all" },
      redis: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const seconds = Number(values.seconds);
  const partitions = values.partitions.split(",").map(Number);
  const withRedis = values.backend !== "embedded";
  const server = withRedis && values.redis === undefined ? await startRedis() : undefined;
  const url = values.redis ?? server?.url ?? "";
  const variants: readonly (readonly [string, Open])[] = [
    ...(withRedis
      ? ([
          ["redis", redisTopics(url)],
          ["raw", rawStreams(url)],
        ] as const)
      : []),
    ...(values.backend === "redis" ? [] : ([["embedded", embeddedTopics]] as const)),
  ];
  print(values.json, {
    benchmark: "queue",
    command: `node dist/bench/queue.js ${args.join(" ")}`.trim(),
    ...{ node: process.version, cores: cpus().length, cpu: cpus()[0]?.model, memory: totalmem() },
    redis: withRedis ? (values.redis ? "given" : "own, appendonly, everysec") : undefined,
    ...{ seconds, rounds: Number(values.rounds), yieldEvents, eventBytes: bytesOfAnEvent() },
  });
  const rounds: Round[] = [];
  try {
    for (let round = 1; round <= Number(values.rounds); round++)
      for (const count of partitions)
        // A B, then B A: what drifts meets both.
        for (const [variant, open] of round % 2 ? variants : variants.toReversed()) {
          process.stderr.write(`round ${round}, ${variant}, P=${count} …\n`);
          const result = await run({ variant, open, partitions: count, round, seconds });
          rounds.push(result);
          if (values.json) print(true, result);
        }
  } finally {
    await server?.stop();
  }
  const summary = summaryOf(rounds);
  if (values.json) for (const line of summary) print(true, line);
  else table(summary);
  return rounds.every(({ eventsPerSecond }) => eventsPerSecond !== null) ? 0 : 1;
}

async function run(options: {
  readonly variant: string;
  readonly open: Open;
  readonly partitions: number;
  readonly round: number;
  readonly seconds: number;
}): Promise<Round> {
  const { variant, open, partitions, round, seconds } = options;
  const load = openLoad(round);
  const check = openCheck();
  const contender = await open({ partitions, see: check.see });
  const publishFor = async (ms: number) => {
    for (const end = performance.now() + ms; performance.now() < end;)
      await contender.publish(load.next(yieldEvents));
  };
  /** Counted at the consumer, the backlog included. */
  const drain = async () => {
    const deadline = performance.now() + drainMs;
    while (check.seen() < load.made() && performance.now() < deadline) await sleep(1);
  };
  await contender.publish(load.next(yieldEvents));
  await drain(); // partitions are assigned by now
  await publishFor(warmUpMs);
  await drain();
  const before = { seen: check.seen(), at: performance.now(), cpu: process.cpuUsage() };
  await publishFor(seconds * 1_000);
  await drain();
  const tookMs = performance.now() - before.at;
  const { user, system } = process.cpuUsage(before.cpu);
  await contender.close();
  const events = check.seen() - before.seen;
  const missing = load.made() - check.seen();
  const wrong = missing !== 0 || check.violations() > 0;
  return {
    ...{ variant, partitions, round, events, missing, orderViolations: check.violations() },
    eventsPerSecond: wrong ? null : Math.round(events / (tookMs / 1_000)),
    cpuSecondsPerMillion: Number(((user + system) / events).toFixed(2)),
  };
}

function summaryOf(rounds: readonly Round[]) {
  const groups = new Map<string, Round[]>();
  for (const round of rounds) {
    const key = `${round.variant} P=${round.partitions}`;
    groups.set(key, [...(groups.get(key) ?? []), round]);
  }
  const rates = (group: readonly Round[]) => group.map((one) => one.eventsPerSecond ?? NaN);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (!first) return [];
    const { variant, partitions } = first;
    const raw = groups.get(`raw P=${partitions}`);
    return {
      ...{ variant, partitions, rounds: group.length },
      median: median(rates(group)),
      min: Math.min(...rates(group)),
      max: Math.max(...rates(group)),
      /** Median of the ratios of the pairs: each round against the raw one beside it. */
      ofRaw:
        raw &&
        Number(median(rates(group).map((rate, at) => rate / (rates(raw)[at] ?? NaN))).toFixed(2)),
      cpuSecondsPerMillion: median(group.map((one) => one.cpuSecondsPerMillion)),
      orderViolations: group.reduce((sum, one) => sum + one.orderViolations, 0),
      missing: group.reduce((sum, one) => sum + one.missing, 0),
    };
  });
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

function bytesOfAnEvent(): number {
  const events = openLoad(1).next(yieldEvents);
  return Math.round(Buffer.byteLength(JSON.stringify(events)) / yieldEvents);
}

function print(json: boolean, value: object): void {
  if (json) process.stdout.write(`${JSON.stringify(value)}\n`);
  else
    process.stdout.write(
      `${Object.entries(value)
        .map(([name, value]) => `${name}: ${value}`)
        .join("\n")}\n\n`,
    );
}

function table(summary: ReturnType<typeof summaryOf>): void {
  const rows = [
    ["variant", "P", "events/s", "min", "max", "of raw", "CPU-s/M", "order", "missing"],
    ...summary.map((line) => [
      line.variant,
      String(line.partitions),
      ...[line.median, line.min, line.max].map((rate) =>
        rate > 0 ? rate.toLocaleString("en") : "void",
      ),
      line.ofRaw === undefined ? "" : line.ofRaw.toFixed(2),
      line.cpuSecondsPerMillion.toFixed(1),
      String(line.orderViolations),
      String(line.missing),
    ]),
  ];
  const widths =
    rows[0]?.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0))) ?? [];
  for (const row of rows)
    process.stdout.write(`${row.map((cell, at) => cell.padStart(widths[at] ?? 0)).join("  ")}\n`);
}

if (import.meta.filename === process.argv[1]) process.exitCode = await main(process.argv.slice(2));
