import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startRedis } from "../redis-server.ts";
import { playRound, type RoundResult } from "./round.ts";

const help = `npm run chaos -- [options]

Kills a running pipeline (kill -9) at random moments while files are created, edited, renamed and
deleted; after the last restart the index must equal the folder: ids, texts, versions.

  --rounds N        rounds to play (20)
  --queue KIND      embedded | redis (embedded); redis starts a server of its own
  --files N         changes a round (300)
  --kills N         kills a round (4)
  --seed N          of the first round; the next rounds count on (random)
  --keep            keep the folders of rounds that failed

One JSON line a round, then a total. Exit 1 if any round differed.`;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "20" },
    queue: { type: "string", default: "embedded" },
    files: { type: "string", default: "300" },
    kills: { type: "string", default: "4" },
    seed: { type: "string" },
    keep: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(help);
  process.exit(0);
}
if (values.queue !== "embedded" && values.queue !== "redis") {
  console.error(`--queue ${values.queue}: use embedded or redis.`);
  process.exit(2);
}

const rounds = Number(values.rounds);
const firstSeed =
  values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
const redis =
  values.queue === "redis"
    ? await startRedis([
        "--appendonly",
        "yes",
        "--appendfsync",
        "everysec",
        "--maxmemory-policy",
        "noeviction",
      ])
    : undefined;
const results: RoundResult[] = [];
try {
  for (let round = 0; round < rounds; round++) {
    const dir = await mkdtemp(join(tmpdir(), "sluice-chaos-"));
    const result = await playRound({
      dir,
      seed: firstSeed + round,
      changes: Number(values.files),
      kills: Number(values.kills),
      queue: redis?.url ?? "embedded",
    });
    results.push(result);
    console.log(
      JSON.stringify({ round: round + 1, ...result, ...(!result.ok && values.keep && { dir }) }),
    );
    if (result.ok || !values.keep) await rm(dir, { recursive: true, force: true });
  }
} finally {
  await redis?.stop();
}

const failed = results.filter(({ ok }) => !ok);
console.log(
  JSON.stringify({
    total: results.length,
    queue: values.queue,
    ok: results.length - failed.length,
    failedSeeds: failed.map(({ seed }) => seed),
    kills: results.reduce((sum, { kills }) => sum + kills, 0),
    changes: results.reduce((sum, { changes }) => sum + changes, 0),
  }),
);
process.exitCode = failed.length === 0 && results.length === rounds ? 0 : 1;
