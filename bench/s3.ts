import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { fingerprintOf } from "../connectors/sources/s3/fingerprint.ts";
import { openMemory } from "../connectors/sources/s3/memory/memory.ts";
import { s3 } from "../connectors/sources/s3/s3.ts";
import { versionClock } from "../core/runtime/versions.ts";
import { openDatabase } from "../core/state/embedded/database.ts";
import { openStore } from "../core/state/embedded/store.ts";
import { fakes } from "../core/testing/index.ts";

const usage = `bench s3: how fast a bucket is listed and ingested, by the source alone, with its state on disk (SQLite).

The bucket is simulated by another process of this machine, which answers pages and objects at once: what
is measured is our own side. Listing: a bucket in which nothing changed. Ingest: a first snapshot of
objects of 1 KB, their events thrown away.

  --keys N       keys of the listed bucket (1000000)
  --objects N    objects to ingest (20000)
  --json         one JSON line each
`;

export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      keys: { type: "string", default: "1000000" },
      objects: { type: "string", default: "20000" },
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
            .map(([name, value]) => `${name}: ${value}`)
            .join("\n")}\n\n`,
    );
  print({
    benchmark: "s3",
    node: process.version,
    cores: cpus().length,
    cpu: cpus()[0]?.model,
    load: loadavg()[0],
  });
  print(await measure("ingest", Number(values.objects)));
  print(await measure("listing", Number(values.keys)));
  return 0;
}

/** One pass over a bucket of `count` objects: none of them known, or all as they are. */
async function measure(what: "ingest" | "listing", count: number) {
  const dir = await mkdtemp(join(tmpdir(), "sluice-bench-s3-"));
  const store = spawn(
    process.execPath,
    [join(import.meta.dirname, "s3/store-child.js"), String(count)],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const database = openDatabase(dir);
  try {
    const [port] = (await once(store.stdout, "data")) as [Buffer];
    const endpoint = `http://127.0.0.1:${port.toString().trim()}`;
    const state = openStore(database, { project: "bench", connector: "s3" });
    if (what === "listing") await remember(state, endpoint, count);

    const aborter = new AbortController();
    const keys = { accessKeyId: "bench", secretAccessKey: "bench" };
    const config = s3.config.parse({ bucket: "bench", endpoint, ...keys });
    let peakRss = 0;
    let done = 0;
    const reading = s3.read({
      ...fakes.context({ config, state, signal: aborter.signal }),
      checkpoint: what === "ingest" ? undefined : {},
      nextVersion: versionClock(1),
      settled: async () => {},
      refuse: async () => {},
      tap: async () => (async function* () {})(),
      givenUp: async () => [],
      requests: (async function* () {})(),
      // It counts what it does in a pass, and nothing once that is over.
      progress: ({ done }) => done === undefined && aborter.abort(),
    });
    const sampling = setInterval(
      () => (peakRss = Math.max(peakRss, process.memoryUsage().rss)),
      50,
    );
    const [began, cpu] = [performance.now(), process.cpuUsage()];
    for await (const { events, writes = [], checkpoint } of reading) {
      done += events.length;
      await state.all([...writes, { key: "checkpoint", value: JSON.stringify(checkpoint) }]);
      if (what === "ingest" && done >= count) break;
    }
    const seconds = (performance.now() - began) / 1_000;
    const { user, system } = process.cpuUsage(cpu);
    clearInterval(sampling);
    database.rows("PRAGMA wal_checkpoint(TRUNCATE)");
    const { size } = await stat(join(dir, "sluice.db"));
    return {
      what,
      objects: count,
      seconds: Number(seconds.toFixed(1)),
      objectsPerSecond: Math.round(count / seconds),
      cpuSeconds: Number(((user + system) / 1e6).toFixed(1)),
      peakRssMb: Math.round(peakRss / 2 ** 20),
      stateMb: Number((size / 2 ** 20).toFixed(1)),
      stateBytesAnObject: Number((size / count).toFixed(1)),
    };
  } finally {
    store.stdin.end();
    database.close();
    await rm(dir, { recursive: true, force: true });
  }
}

/** What the source would have stored of all these objects, by its own hand. */
async function remember(
  state: ReturnType<typeof openStore>,
  endpoint: string,
  count: number,
): Promise<void> {
  const answer = await (await fetch(`${endpoint}/bench?list-type=2`)).text();
  const between = (tag: string) => answer.split(`<${tag}>`)[1]?.split("<")[0] ?? "";
  const fingerprint = fingerprintOf("bench", {
    etag: between("ETag").replaceAll("&quot;", ""),
    size: Number(between("Size")),
    modified: new Date(between("LastModified")),
  });
  const memory = await openMemory(state);
  const name = (at: number) => String(at).padStart(8, "0");
  for (let from = 0; from < count; from += 1_000) {
    const keys = Array.from(
      { length: Math.min(1_000, count - from) },
      (_, at) =>
        `docs/${String(Math.floor((from + at) / 1_000)).padStart(5, "0")}/note-${name(from + at)}.txt`,
    );
    const excerpt = await memory.open(keys);
    for (const key of keys) excerpt.set(key, fingerprint);
    await state.all(excerpt.writes());
  }
}
