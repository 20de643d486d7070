// Plays the life of some rows: a PostgreSQL of its own, the pipeline of sluice.json beside it, changes by SQL, and
// after each how long it takes until a search shows it. Needs nothing but `npm install && npm run build`.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Client } from "pg";
import { openSinkReader } from "../../dist/cli/reader.js";
import { catalog } from "../../dist/connectors/registry.js";
import { loadPipeline } from "../../dist/core/config/load.js";
import { startPostgres } from "../../dist/test/postgres-server.js";
import { steps } from "./steps.mjs";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const withinMs = 120_000;

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"])
  process.on(signal, () => (stop.signal.aborted ? process.exit(130) : stop.abort()));
const { signal } = stop;

/** Ended in reverse order, whatever happens. */
const opened = [];
const opens = (close) => opened.push(close);

try {
  await play();
  console.log("\nEvery change was observed.");
} catch (error) {
  if (signal.aborted) console.log("\nInterrupted.");
  else {
    console.error(`\n${error.message}`);
    process.exitCode = 1;
  }
} finally {
  for (const close of opened.toReversed()) await close().catch(console.error);
}
// Worker threads and drivers must not keep a finished example alive.
process.exit();

async function play() {
  const folder = await mkdtemp(join(tmpdir(), "sluice-example-"));
  opens(() => rm(folder, { recursive: true, force: true }));
  const config = join(folder, "sluice.json");
  await cp(here("sluice.json"), config);

  const server = await startPostgres({ version: 18 });
  opens(server.stop);
  const { url } = await server.createDatabase("shop");
  const database = new Client(url);
  // What is on its way when everything ends.
  database.on("error", () => {});
  await database.connect();
  opens(() => database.end());
  await database.query(await readFile(here("helpdesk.sql"), "utf8"));
  console.log("PostgreSQL 18 holds 30 articles and 3 notices. Starting the pipeline:\n");

  const env = { ...process.env, DATABASE_URL: url };
  const since = performance.now();
  const pipeline = startPipeline(config, env);
  opens(pipeline.stop);
  const search = await Promise.race([openSearch(config, env), pipeline.ended]);
  for (const { name, sql, question, shows } of steps) {
    const began = sql === undefined ? since : performance.now();
    if (sql !== undefined) await database.query(sql);
    const shown = untilShown(() => search(question), shows, name);
    const matches = await Promise.race([shown, pipeline.ended]);
    const took = `${Math.round(performance.now() - began)} ms`.padStart(8);
    console.log(`✓ ${name.padEnd(50)} ${took}\n  ${seen(question, matches)}`);
  }
}

/** `sluice start`, in a process of its own as in production. */
function startPipeline(config, env) {
  // A group of its own: Ctrl-C reaches only us, and we stop things in their order.
  const child = spawn(process.execPath, [here("../../dist/cli/main.js"), "start", config], {
    env,
    detached: true,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  let log = "";
  child.stderr.on("data", (data) => (log = (log + data).slice(-4_000)));
  const exited = once(child, "close").finally(() => process.off("exit", kill));
  const ended = exited.then(([code]) => {
    throw new Error(`The pipeline ended (${code}):\n${log}`);
  });
  ended.catch(() => {}); // whoever waits gets it
  return {
    ended,
    stop: async () => {
      child.kill("SIGTERM");
      await exited;
    },
  };
}

/** What `sluice search` does, but the model stays loaded, so that the times below are not its own. */
async function openSearch(config, env) {
  const pipeline = await loadPipeline([config], { env, catalog });
  const sink = pipeline.connectors.find(({ kind }) => kind === "sink");
  const quiet = () => {};
  const log = { debug: quiet, info: quiet, warn: quiet, error: quiet };
  for (;;)
    try {
      const reader = await openSinkReader(pipeline, sink, { log, signal });
      opens(reader.close);
      return async (text) => (await reader.search({ text, topK: 100 }, { signal })).matches;
    } catch (error) {
      if (!isNotYet(error)) throw error;
      await sleep(20, undefined, { signal });
    }
}

/** The pipeline has just begun and not made its index yet. */
function isNotYet({ code }) {
  return code === "pinecone.local-missing" || code === "pinecone.index-missing";
}

async function untilShown(search, shows, name) {
  const began = performance.now();
  for (;;) {
    const matches = await search();
    if (shows(matches)) return matches;
    const waitedMs = performance.now() - began;
    if (waitedMs > withinMs) throw new Error(`✗ ${name}: not seen within ${withinMs / 1_000} s.`);
    // Every search embeds the question, on the processor that embeds the rows.
    await sleep(Math.max(20, waitedMs / 10), undefined, { signal });
  }
}

function seen(question, [best]) {
  if (best === undefined) return "nothing";
  const { title, _subject: key, text } = best.metadata;
  return `“${question}” → ${key} ${title}: “${text.replaceAll(/\s+/g, " ").slice(0, 60)}…”`;
}
