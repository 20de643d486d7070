import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startMongod } from "../mongod.ts";
import { startPostgres } from "../postgres-server.ts";
import { startRedis } from "../redis-server.ts";
import { startMinistack } from "../s3-servers.ts";
import { grounds } from "./counted/ground.ts";
import { playAllFaults } from "./counted/main.ts";
import { playMongodbRound } from "./mongodb-round.ts";
import { playPostgresRound } from "./postgres-round.ts";
import { playRound, type RoundResult } from "./round.ts";
import { playS3Round } from "./s3-round.ts";
import { playSteps } from "./steps.ts";

const help = `npm run chaos -- [options]

Kills a running pipeline (kill -9) at random moments while its origin changes; after the last restart
the index must equal the origin: ids, texts, versions.

  --source KIND     file | postgres | mongodb | s3 (file)
                    file: files are created, edited, renamed and deleted
                    postgres: random transactions, key changes, truncates and DDL on a real server,
                    which is killed and restarted too, and Redis with it
                    mongodb: random changes, drops and renames of collections on three members, whose
                    primary is killed, frozen and replaced too; snapshots are asked for meanwhile
                    s3: objects of a bucket are put, replaced and deleted, tables with a document a
                    row among them; every second round is told by notifications

  --faults KINDS    instead: several processes over one pipeline whose origin counts, under faults at random:
                    all, or a list of kill, term, stop (SIGSTOP, beyond the lease), throttle, stall and,
                    with --queue redis, redis-restart, redis-older (loses the last 2 s), redis-stop, cut;
                    one event in a thousand can never be written; "hold", a sink that stops under a full source
  --minutes N       of faults (1)
  --processes N     (3)
  --rate N          events a second (1500)
  --json            nothing but JSON

  --steps           instead: kill at every numbered step of a write, just before and just after it
  --rounds N        rounds to play (20)
  --queue KIND      embedded | redis (embedded); redis starts a server of its own. With --faults also cluster
                    (three primaries, a replica each) and sentinel (a primary, two replicas), whose
                    primaries are killed and stopped
  --changes N       changes a round (300)
  --kills N         kills a round (4)
  --seed N          of the first round; the next rounds count on (random)
  --postgres N      15 or 18 (18)
  --keep            keep the folders of rounds that failed

One JSON line a round, then a total. Exit 1 if any round differed.`;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "20" },
    queue: { type: "string", default: "embedded" },
    source: { type: "string", default: "file" },
    postgres: { type: "string", default: "18" },
    changes: { type: "string", default: "300" },
    kills: { type: "string", default: "4" },
    seed: { type: "string" },
    keep: { type: "boolean", default: false },
    faults: { type: "string" },
    minutes: { type: "string", default: "1" },
    processes: { type: "string", default: "3" },
    rate: { type: "string", default: "1500" },
    json: { type: "boolean", default: false },
    steps: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(help);
  process.exit(0);
}

if (!["file", "postgres", "mongodb", "s3"].includes(values.source)) {
  console.error(`--source ${values.source}: use file, postgres, mongodb or s3.`);
  process.exit(2);
}

const ways = values.faults === undefined ? grounds.slice(0, 2) : grounds;
const queue = ways.find((way) => way === values.queue);
if (queue === undefined) {
  console.error(`--queue ${values.queue}: use ${ways.join(", ")}.`);
  process.exit(2);
}

if (values.faults !== undefined) {
  const { faults, minutes, processes, rate, json, seed } = values;
  process.exit(await playAllFaults({ queue, faults, minutes, processes, rate, json, seed }));
}

const rounds = Number(values.rounds);
const firstSeed =
  values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
const redis =
  queue === "redis"
    ? await startRedis([
        "--appendonly",
        "yes",
        "--appendfsync",
        "everysec",
        "--maxmemory-policy",
        "noeviction",
      ])
    : undefined;
const postgres =
  values.source === "postgres" && !values.steps
    ? await startPostgres({ version: values.postgres === "15" ? 15 : 18 })
    : undefined;
if (values.steps) {
  try {
    const result = await playSteps({
      ...(redis && { redis: redis.url }),
      told: (text) => process.stderr.write(`${text}\n`),
    });
    console.log(JSON.stringify({ queue, ...result }));
    process.exitCode = result.failures.length === 0 ? 0 : 1;
  } finally {
    await redis?.stop();
  }
  process.exit();
}
const mongod =
  values.source === "mongodb" ? await startMongod({ members: 3, oplogMB: 200 }) : undefined;
const server = values.source === "s3" ? await startMinistack() : undefined;
const results: RoundResult[] = [];
try {
  for (let round = 0; round < rounds; round++) {
    const dir = await mkdtemp(join(tmpdir(), "sluice-chaos-"));
    const common = {
      dir,
      seed: firstSeed + round,
      changes: Number(values.changes),
      kills: Number(values.kills),
    };
    const result = postgres
      ? await playPostgresRound({ ...common, postgres, redis })
      : mongod
        ? await playMongodbRound({ ...common, set: mongod, redis })
        : server
          ? await playS3Round({ ...common, server, queue: redis?.url ?? "embedded" })
          : await playRound({ ...common, queue: redis?.url ?? "embedded" });
    results.push(result);
    console.log(
      JSON.stringify({ round: round + 1, ...result, ...(!result.ok && values.keep && { dir }) }),
    );
    if (result.ok || !values.keep) await rm(dir, { recursive: true, force: true });
  }
} finally {
  await redis?.stop();
  await postgres?.stop();
  await mongod?.stop();
  await server?.stop();
}

const failed = results.filter(({ ok }) => !ok);
console.log(
  JSON.stringify({
    total: results.length,
    source: values.source,
    queue,
    ok: results.length - failed.length,
    failedSeeds: failed.map(({ seed }) => seed),
    kills: results.reduce((sum, { kills }) => sum + kills, 0),
    changes: results.reduce((sum, { changes }) => sum + changes, 0),
  }),
);
process.exitCode = failed.length === 0 && results.length === rounds ? 0 : 1;
