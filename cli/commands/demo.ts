import { createWriteStream } from "node:fs";
import { join, relative, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { InvalidArgumentError, type Command } from "commander";
import { catalog } from "../../connectors/registry.ts";
import { loadPipeline } from "../../core/config/load.ts";
import type { Pipeline, SinkConnector } from "../../core/config/pipeline.ts";
import { secretsOf } from "../../core/config/secrets.ts";
import type { Log } from "../../core/connector.ts";
import { SluiceError } from "../../core/errors.ts";
import { startPipeline, type Running } from "../../core/runtime/runner.ts";
import type { PipelineStatus } from "../../core/runtime/status.ts";
import { newCommand } from "../command.ts";
import { openPeakMemory } from "../demo/peak-memory.ts";
import { playScenario, type Step } from "../demo/scenario.ts";
import { openWorkspace, type Workspace } from "../demo/workspace.ts";
import { exit } from "../exit.ts";
import { openLog } from "../log.ts";
import type { Output } from "../output.ts";
import { openSinkReader } from "../reader.ts";

const graceMs = 10_000;

interface DemoOptions {
  readonly queue?: string;
  readonly dir: string;
  readonly keep?: true;
  readonly timeout: number;
}

export function demo(output: Output): Command {
  return newCommand(
    "demo",
    "Play the life of a document: asked for in vain, written, found, edited, deleted. Needs no server, key or download.",
    ["demo", "demo --queue redis://localhost:6379", "demo --keep"],
  )
    .option("--queue <place>", 'queue to use: "redis://…" or "embedded:DIR" (default: embedded)')
    .option("--dir <dir>", "folder the demo works in", join(".sluice", "demo"))
    .option("--timeout <seconds>", "how long a step may take", toSeconds, 30)
    .option("--keep", "leave it running, and say what to try")
    .action(async (options: DemoOptions) => {
      const code = await run(options, output);
      // Worker threads and drivers must not keep a finished demo alive.
      process.exit(code);
    });
}

async function run(options: DemoOptions, output: Output): Promise<number> {
  const { paint } = output;
  const stop = new AbortController();
  let interrupted = false;
  const onSignal = () => {
    if (interrupted) process.exit(exit.interrupted);
    interrupted = true;
    stop.abort(new Error("interrupted"));
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);

  const memory = openPeakMemory();
  const workspace = await openWorkspace(resolve(options.dir));
  const pipeline = await loadPipeline([workspace.config], {
    env: { ...process.env, SLUICE_PROJECT: workspace.project },
    catalog,
    ...(options.queue !== undefined && { queue: options.queue }),
  });
  const log = fileLog(join(workspace.dir, "demo.log"), pipeline);
  const say = (text: string) => {
    if (!output.isJson) process.stdout.write(`${text}\n`);
  };

  say(`A pipeline from ${short(workspace.config)}, queue ${pipeline.queue.kind}:`);
  say(
    "  file source → queue → parse → chunk → MiniLM embeddings → Pinecone client → local index\n",
  );
  const secrets = secretsOf(pipeline);
  const running = await startPipeline(pipeline, {
    log,
    secrets,
    admin: { host: "127.0.0.1", port: 0 },
  });
  const steps: Step[] = [];
  try {
    const synced = await firstSync(running, options.timeout * 1_000, stop.signal);
    say(line(synced, output));
    steps.push(synced);
    const reader = await openSinkReader(pipeline, sinkOf(pipeline), { log, signal: stop.signal });
    try {
      const scenario = { withinMs: options.timeout * 1_000, signal: stop.signal };
      if (synced.ok)
        for await (const step of playScenario(workspace.notes, reader, scenario)) {
          say(line(step, output));
          steps.push(step);
          if (!step.ok) break;
        }
    } finally {
      await reader.close();
    }
    const summary = summarize(steps, await running.status(), memory.peakMiB());
    output.result("demo", { ...summary, steps }, () => told(summary, output));
    if (options.keep && summary.ok) await keepRunning(workspace, options, say, stop.signal);
    return summary.ok ? exit.done : exit.failed;
  } catch (error) {
    if (!interrupted) throw error;
    say(paint("yellow", "Interrupted."));
    return exit.done;
  } finally {
    await running.stop(graceMs);
  }
}

/** Waits until the folder as it was found is in the index. */
async function firstSync(running: Running, withinMs: number, signal: AbortSignal): Promise<Step> {
  const began = performance.now();
  for (;;) {
    const { connectors } = await running.status();
    const ms = performance.now() - began;
    const failed = connectors.find(({ error }) => error?.fix !== undefined || error !== undefined);
    const source = connectors.find(({ kind }) => kind === "source");
    const waiting = connectors.flatMap(({ subscriptions = [] }) => subscriptions);
    const ok = source?.progress?.phase === "streaming" && waiting.every((one) => one.waiting === 0);
    const seen = failed?.error
      ? `${failed.name}: ${failed.error.message} ${failed.error.fix ?? ""}`
      : `${source?.events ?? 0} events since the last run`;
    if (ok || ms > withinMs) return { name: "the folder is in the index", ok, ms, seen };
    await sleep(25, undefined, { signal });
  }
}

interface Summary {
  readonly ok: boolean;
  /** Of the steps that changed a file. */
  readonly p50Ms: number;
  readonly maxMs: number;
  /** Passages the model was run on. */
  readonly embedded: number;
  readonly fromCache: number;
  readonly peakMiB: number;
  /** What was not observed. */
  readonly missed?: string;
}

function summarize(steps: readonly Step[], status: PipelineStatus, peakMiB: number): Summary {
  const times = steps
    .slice(2)
    .map(({ ms }) => Math.round(ms))
    .toSorted((a, b) => a - b);
  const missed = steps.find(({ ok }) => !ok);
  const count = (name: string) =>
    status.connectors.reduce((sum, { counters }) => sum + (counters[name] ?? 0), 0);
  return {
    ok: missed === undefined && times.length > 0,
    p50Ms: times[times.length >> 1] ?? 0,
    maxMs: times.at(-1) ?? 0,
    embedded: count("embeds"),
    fromCache: count("vector_cache_hits"),
    peakMiB,
    ...(missed && { missed: missed.name }),
  };
}

function told(summary: Summary, { paint }: Output): string {
  const { ok, p50Ms, maxMs, embedded, fromCache, peakMiB, missed } = summary;
  if (!ok) return `\n${paint("red", `Not observed: ${missed ?? "nothing was played"}.`)}`;
  return [
    `\n${paint("green", "Every step was observed.")} File write to searchable: p50 ${p50Ms} ms, longest ${maxMs} ms.`,
    `${embedded} passages embedded, ${fromCache} taken from the vector cache; peak memory ${peakMiB} MiB.`,
  ].join("\n");
}

async function keepRunning(
  workspace: Workspace,
  { queue }: DemoOptions,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const config = short(workspace.config);
  const notes = short(workspace.notes);
  const same = [`SLUICE_PROJECT=${workspace.project}`, `npx sluice`].join(" ");
  const place = queue === undefined ? "" : ` --queue ${queue}`;
  say(`
It goes on running. In another terminal, try:

  echo "The guest wifi password is fjord-42." > ${notes}/wifi.md
  ${same} search search "guest wifi" --config ${config}${place}
  rm ${notes}/wifi.md
  ${same} status ${config}${place}

Ctrl-C ends it.`);
  await sleep(2 ** 31 - 1, undefined, { signal });
}

function sinkOf({ connectors }: Pipeline): SinkConnector {
  const sink = connectors.find((one) => one.kind === "sink");
  if (sink) return sink;
  throw new SluiceError("demo: the example has no sink.", {
    code: "cli.no-sink",
    fix: "Restore examples/notes/sluice.json.",
  });
}

function line({ ok, ms, name, seen }: Step, { paint }: Output): string {
  const glyph = ok ? paint("green", "✓") : paint("red", "✗");
  return `${glyph} ${name.padEnd(28)} ${String(Math.round(ms)).padStart(6)} ms   ${paint("dim", seen)}`;
}

function fileLog(path: string, pipeline: Pipeline): Log {
  const file = createWriteStream(path, { flags: "w" });
  return openLog((text) => void file.write(text), secretsOf(pipeline));
}

function short(path: string): string {
  return relative(process.cwd(), path) || ".";
}

function toSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 3_600))
    throw new InvalidArgumentError("Write a number of seconds from 1 to 3600.");
  return seconds;
}
