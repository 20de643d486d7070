// What the examples that play a scene have in common: a pipeline in a process of its own, a search beside it, and
// the end of everything, whatever happens.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { openSinkReader } from "../dist/cli/reader.js";
import { catalog } from "../dist/connectors/registry.js";
import { loadPipeline } from "../dist/core/config/load.js";

const withinMs = 120_000;
const cli = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));

/** Runs a scene. `opens` takes what ends things, in reverse order; Ctrl-C ends all of it. */
export async function play(scene) {
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"])
    process.on(signal, () => (stop.signal.aborted ? process.exit(130) : stop.abort()));
  const { signal } = stop;
  const opened = [];
  try {
    await scene({ signal, opens: (close) => opened.push(close) });
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
}

/** Starts `sluice start`, does each step, and prints how long it takes until a search shows it. */
export async function observe(config, env, steps, { signal, opens }) {
  const since = performance.now();
  const pipeline = startPipeline(config, env);
  opens(pipeline.stop);
  const search = await Promise.race([openSearch(config, env, { signal, opens }), pipeline.ended]);
  for (const { name, act, question, shows } of steps) {
    const began = act === undefined ? since : performance.now();
    await act?.();
    const shown = untilShown(() => search(question), shows, name, signal);
    const matches = await Promise.race([shown, pipeline.ended]);
    const took = `${Math.round(performance.now() - began)} ms`.padStart(8);
    console.log(`✓ ${name.padEnd(50)} ${took}\n  ${seen(question, matches)}`);
  }
}

function startPipeline(config, env) {
  // A group of its own: Ctrl-C reaches only us, and we stop things in their order.
  const child = spawn(process.execPath, [cli, "start", config], {
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

/** What `sluice search` does, but the model stays loaded, so that the times are not its own. */
async function openSearch(config, env, { signal, opens }) {
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
      // The pipeline has just begun and not made its index yet.
      if (!["pinecone.local-missing", "pinecone.index-missing"].includes(error.code)) throw error;
      await sleep(20, undefined, { signal });
    }
}

async function untilShown(search, shows, name, signal) {
  const began = performance.now();
  for (;;) {
    const matches = await search();
    if (shows(matches)) return matches;
    const waitedMs = performance.now() - began;
    if (waitedMs > withinMs) throw new Error(`✗ ${name}: not seen within ${withinMs / 1_000} s.`);
    // Every search embeds the question, on the processor that embeds the records.
    await sleep(Math.max(20, waitedMs / 10), undefined, { signal });
  }
}

function seen(question, [best]) {
  if (best === undefined) return "nothing";
  const { title, _subject: key, text } = best.metadata;
  return `“${question}” → ${key} ${title}: “${text.replaceAll(/\s+/g, " ").slice(0, 60)}…”`;
}
