import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Client } from "pg";
import { startPostgres } from "../test/postgres-server.ts";
import { startRedis } from "../test/redis-server.ts";
import { startPart } from "./parts/part.ts";
import { sayer } from "./parts/say.ts";

const usage = `bench postgres: rows/s from PostgreSQL through the durable queue to a worker process, all on this machine.

  --rows N          rows of the backlog and the copies (300000)
  --rounds N        rounds of the streaming measure, interleaved with pg_recvlogical (3)
  --latency N       seconds of the latency measure, at 200 inserts/s (10)
  --partitions N    of the topic (4; the copy without a consumer uses 8)
  --queue KIND      redis (append-only file, fsync every second) or embedded (redis)
  --postgres N      15 or 18 (18)
  --only LIST       of streaming,latency,copy,published,memory (all)
  --json            one JSON line a measure
`;

const table = `CREATE TABLE articles(id bigint PRIMARY KEY, title text, body text, author text, updated_at timestamptz)`;
/** ~500 B of natural-looking text; keys at and below 0, texts that look like NULL. */
const row = (id: string) =>
  `SELECT ${id} - 50, CASE WHEN ${id} % 97 = 0 THEN 'NULL' ELSE 'Article number '||${id} END,
   repeat('The quick brown fox of '||md5((${id})::text)||' jumps over a lazy dog. ', 6), 'author '||(${id} % 1000), now()`;

export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rows: { type: "string", default: "300000" },
      rounds: { type: "string", default: "3" },
      latency: { type: "string", default: "10" },
      partitions: { type: "string", default: "4" },
      queue: { type: "string", default: "redis" },
      postgres: { type: "string", default: "18" },
      only: { type: "string", default: "streaming,latency,copy,published,memory" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const rows = Number(values.rows);
  const only = new Set(values.only.split(","));
  const dir = await mkdtemp(join(tmpdir(), "sluice-bench-"));
  const redis = values.queue === "redis" ? await startRedis() : undefined;
  const server = await startPostgres({
    version: values.postgres === "15" ? 15 : 18,
    settings: { shared_buffers: "256MB", max_wal_size: "4GB" },
  });
  const say = sayer(values.json);
  say("machine", {
    cores: cpus().length,
    cpu: cpus()[0]?.model,
    load: loadavg()[0]?.toFixed(2),
    node: process.version,
    postgres: values.postgres,
    queue: redis ? "redis, appendfsync everysec" : "embedded",
    command: `npm run bench -- postgres ${args.join(" ")}`,
  });

  let databases = 0;
  const world = async (partitions: number, maxWaiting = 100) => {
    const { url, drop } = await server.createDatabase();
    const client = new Client({ connectionString: url });
    client.on("error", () => undefined); // the server is stopped under it when a measure fails
    await client.connect();
    await client.query(table);
    const project = `bench${++databases}`;
    const common = {
      project,
      queue: redis?.url ?? join(dir, project),
      topics: { articles: { partitions, maxWaiting } },
    };
    const slot = `bench_${databases}`;
    const source = {
      name: "articles",
      source: "postgres",
      to: "articles",
      config: { url, tables: ["articles"], slot },
    };
    const worker = { name: "worker", sink: "counting", from: "articles" };
    return {
      url,
      slot,
      sql: (text: string) => client.query(text),
      startSource: () =>
        startPart(join(dir, `${project}-source.json`), { ...common, connectors: [source] }),
      startWorker: () =>
        startPart(join(dir, `${project}-worker.json`), { ...common, connectors: [worker] }),
      startBoth: () =>
        startPart(join(dir, `${project}-both.json`), { ...common, connectors: [source, worker] }),
      close: async () => {
        await client.end();
        await drop();
      },
    };
  };
  type World = Awaited<ReturnType<typeof world>>;
  const fill = ({ sql }: World, count: number) =>
    sql(`DO $$ BEGIN FOR n IN 0..${count / 100 - 1} LOOP
      INSERT INTO articles ${row("i")} FROM generate_series(n * 100 + 1, n * 100 + 100) i; COMMIT; END LOOP; END $$`);

  try {
    if (only.has("streaming"))
      for (let round = 1; round <= Number(values.rounds); round++) {
        const one = await world(Number(values.partitions));
        const worker = await one.startWorker();
        const first = await one.startSource();
        await first.until(({ phase }) => phase === "streaming", 20_000);
        await first.stop();
        await one.sql("SELECT pg_create_logical_replication_slot('raw', 'pgoutput')");
        await fill(one, rows);
        const raw = await readRaw(one.url, one.slot, rows);
        const source = await one.startSource();
        const done = await worker.until(({ events }) => events >= rows, 300_000);
        const rate = rows / ((done.lastMs - done.firstMs) / 1_000);
        const cpu = (source.last()?.cpuMs ?? 0) + done.cpuMs;
        say("streaming", {
          round,
          rows,
          eventsPerSecond: Math.round(rate),
          exact: done.events === rows,
          events: done.events,
          firstEventMs: Math.round(done.firstMs - source.startedMs),
          pgRecvlogicalPerSecond: raw && Math.round(raw),
          ratio: raw && (rate / raw).toFixed(2),
          cpuUsPerEvent: ((cpu * 1_000) / rows).toFixed(1),
          sourceRssMB: megabytes(source.peakRssBytes()),
          workerRssMB: megabytes(worker.peakRssBytes()),
        });
        await source.stop();
        await worker.stop();
        await one.close();
      }

    if (only.has("latency")) {
      const one = await world(Number(values.partitions));
      const worker = await one.startWorker();
      const source = await one.startSource();
      await source.until(({ phase }) => phase === "streaming", 20_000);
      const everyMs = 5;
      const count = (Number(values.latency) * 1_000) / everyMs;
      const start = performance.now() + 50;
      const sent: Promise<unknown>[] = [];
      for (let n = 0; n < count; n++) {
        const planned = start + n * everyMs;
        const waitMs = planned - performance.now();
        if (waitMs > 0) await sleep(waitMs);
        const stamp = performance.timeOrigin + planned;
        sent.push(
          one.sql(
            `INSERT INTO articles SELECT ${n}, 't', repeat('natural words ', 36), '@${stamp}', now()`,
          ),
        );
      }
      await Promise.all(sent);
      const done = await worker.until(({ events }) => events >= count, 20_000);
      // The first second warms up.
      const all = worker.latenciesMs.slice(200).toSorted((a, b) => a - b);
      const at = (share: number) =>
        all[Math.min(all.length - 1, Math.floor(all.length * share))]?.toFixed(2);
      say("latency", {
        insertsPerSecond: 1_000 / everyMs,
        count,
        exact: done.events === count,
        p50Ms: at(0.5),
        p90Ms: at(0.9),
        p99Ms: at(0.99),
        maxMs: at(1),
      });
      await source.stop();
      await worker.stop();
      await one.close();
    }

    if (only.has("copy")) {
      const one = await world(8);
      await one.sql(`INSERT INTO articles ${row("i")} FROM generate_series(1, ${rows}) i`);
      await one.sql("ANALYZE articles");
      const worker = await one.startWorker();
      await worker.until(() => true, 10_000);
      const source = await one.startSource();
      const done = await worker.until(({ events }) => events >= rows, 300_000);
      say("copy to a worker", {
        rows,
        rowsPerSecond: Math.round(rows / ((done.lastMs - done.firstMs) / 1_000)),
        exact: done.events === rows,
        firstEventMs: Math.round(done.firstMs - source.startedMs),
        sourceRssMB: megabytes(source.peakRssBytes()),
      });
      await source.stop();
      await worker.stop();
      await one.close();
    }

    if (only.has("published")) {
      const one = await world(8, 10_000);
      await one.sql(`INSERT INTO articles ${row("i")} FROM generate_series(1, ${rows}) i`);
      await one.sql("ANALYZE articles");
      // Subscribes and leaves: the queue keeps everything for it.
      const worker = await one.startWorker();
      await worker.until(() => true, 10_000);
      await worker.stop();
      const source = await one.startSource();
      await source.until(({ published }) => published > 0, 20_000);
      const [from, startedAt] = [source.last()?.published ?? 0, performance.now()];
      const done = await source.until(({ published }) => published >= rows, 300_000);
      say("copy, published", {
        rows,
        rowsPerSecond: Math.round((rows - from) / ((performance.now() - startedAt) / 1_000)),
        exact: done.published === rows,
        cpuUsPerRow: ((done.cpuMs * 1_000) / rows).toFixed(1),
        sourceRssMB: megabytes(source.peakRssBytes()),
      });
      await source.stop();
      await one.close();
    }

    if (only.has("memory")) {
      const one = await world(Number(values.partitions));
      await one.sql(`INSERT INTO articles ${row("i")} FROM generate_series(1, 1000000) i`);
      const worker = await one.startWorker();
      const source = await one.startSource();
      await worker.until(({ events }) => events >= 1_000_000, 600_000);
      const afterCopy = source.peakRssBytes();
      await one.sql(`INSERT INTO articles ${row("i")} FROM generate_series(1000001, 1500000) i`);
      const done = await worker.until(({ events }) => events >= 1_500_000, 600_000);
      say("memory", {
        exact: done.events === 1_500_000,
        copyOfMillionRssMB: megabytes(afterCopy),
        transactionOfHalfAMillionRssMB: megabytes(source.peakRssBytes()),
      });
      await source.stop();
      await worker.stop();
      await one.close();
    }
    return 0;
  } finally {
    await server.stop();
    await redis?.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

/** Rows/s of `pg_recvlogical` to nowhere over the same backlog; undefined where there is none. */
async function readRaw(
  url: string,
  publication: string,
  rows: number,
): Promise<number | undefined> {
  const started = performance.now();
  const child = spawn(
    "pg_recvlogical",
    `--slot raw --start --file /dev/null --no-loop -o proto_version=1 -o publication_names=${publication}`
      .split(" ")
      .concat("--endpos", await endOf(url), "--dbname", url),
    { stdio: "ignore" },
  );
  const [code] = (await Promise.race([
    once(child, "exit"),
    once(child, "error").then(() => [undefined]),
  ])) as [number | undefined];
  return code === 0 ? rows / ((performance.now() - started) / 1_000) : undefined;
}

async function endOf(url: string): Promise<string> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<{ lsn: string }>("SELECT pg_current_wal_lsn() AS lsn");
  await client.end();
  return rows[0]?.lsn ?? "0/0";
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
