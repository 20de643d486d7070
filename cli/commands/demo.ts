import { createWriteStream, openSync } from "node:fs";
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
import { newCommand } from "../command.ts";
import { firstSync } from "../demo/first-sync.ts";
import { openPeakMemory } from "../demo/peak-memory.ts";
import { playScenario, type Step } from "../demo/scenario.ts";
import { stepText, summarize, summaryText } from "../demo/summary.ts";
import { openWorkspace, type Workspace } from "../demo/workspace.ts";
import { exit } from "../exit.ts";
import { openLog } from "../log.ts";
import type { Output } from "../output.ts";
import { openSinkReader } from "../reader.ts";

const graceMs = 10_000;
/** Whoever interrupts does not want to wait; what is not handed back by then is taken over later. */
const interruptedGraceMs = 2_000;

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
    .option(
      "--dir <dir>",
      "folder the demo works in: a new or empty one, or that of an earlier demo",
      toFolder,
      join(".sluice", "demo"),
    )
    .option("--timeout <seconds>", "how long a step may take", toSeconds, 30)
    .option("--keep", "leave it running, and say what to try")
    .action(async (options: DemoOptions) => {
      const code = await untilInterrupted(options, output);
      // Worker threads and drivers must not keep a finished demo alive.
      process.exit(code);
    });
}

/** What has happened so far: an interruption may come at any moment. */
interface Play {
  readonly signal: AbortSignal;
  readonly steps: Step[];
  running?: Running;
  isTold?: true;
}

async function untilInterrupted(options: DemoOptions, output: Output): Promise<number> {
  const stop = new AbortController();
  const interrupted = new Promise<undefined>((done) => {
    const onSignal = () => {
      if (stop.signal.aborted) process.exit(exit.interrupted);
      done(undefined);
      stop.abort(new Error("interrupted"));
    };
    process.on("SIGINT", onSignal);
    process.on("SIGTERM", onSignal);
  });
  const play: Play = { signal: stop.signal, steps: [] };
  try {
    const code = await Promise.race([interrupted, run(play, options, output)]);
    if (code !== undefined) return code;
    if (!output.isJson) process.stdout.write(`${output.paint("yellow", "Interrupted.")}\n`);
    else if (!play.isTold)
      output.result("demo", { ok: false, interrupted: true, steps: play.steps }, () => "");
    return exit.done;
  } finally {
    await play.running?.stop(stop.signal.aborted ? interruptedGraceMs : graceMs);
  }
}

async function run(play: Play, options: DemoOptions, output: Output): Promise<number> {
  const memory = openPeakMemory();
  const workspace = await openWorkspace(resolve(options.dir));
  const pipeline = await loadPipeline([workspace.config], {
    env: { ...process.env, SLUICE_PROJECT: workspace.project },
    catalog,
    ...(options.queue !== undefined && { queue: options.queue }),
  });
  const sink = sinkOf(pipeline, workspace);
  const log = fileLog(join(workspace.dir, "demo.log"), pipeline, output);
  const say = (text: string) => {
    if (!output.isJson) process.stdout.write(`${text}\n`);
  };
  const { signal, steps } = play;
  const told = (step: Step) => {
    say(stepText(step, output));
    steps.push(step);
    return step.ok;
  };

  say(`A pipeline from ${short(workspace.config)}, queue ${pipeline.queue.kind}:`);
  say(
    "  file source → queue → parse → chunk → MiniLM embeddings → Pinecone client → local index\n",
  );
  const secrets = secretsOf(pipeline);
  const admin = { host: "127.0.0.1", port: 0 };
  const running = await startPipeline(pipeline, { log, secrets, admin });
  play.running = running;
  const scenario = { withinMs: options.timeout * 1_000, signal };
  if (told(await firstSync(running, scenario))) {
    const reader = await openSinkReader(pipeline, sink, { log, signal });
    try {
      for await (const step of playScenario(workspace.notes, reader, scenario))
        if (!told(step)) break;
    } finally {
      await reader.close();
    }
  }
  const summary = summarize(steps, await running.status(), memory.peakMiB());
  output.result("demo", { ...summary, steps }, () => summaryText(summary, output));
  play.isTold = true;
  if (options.keep && summary.ok) await keepRunning(workspace, options, say, signal);
  return summary.ok ? exit.done : exit.failed;
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

function sinkOf({ connectors }: Pipeline, { config }: Workspace): SinkConnector {
  const sink = connectors.find((one) => one.kind === "sink");
  if (sink) return sink;
  throw new SluiceError(`demo: ${short(config)} has no sink.`, {
    code: "cli.no-sink",
    fix: `Delete ${short(config)}: the demo writes it anew.`,
  });
}

function fileLog(path: string, pipeline: Pipeline, output: Output): Log {
  const file = createWriteStream("", { fd: openSync(path, "w") });
  file.once("error", ({ message }) => output.note(`demo: its log ends here (${message}).`));
  file.on("error", () => undefined); // told once
  return openLog((text) => void file.write(text), secretsOf(pipeline));
}

function short(path: string): string {
  return relative(process.cwd(), path) || ".";
}

function toFolder(text: string): string {
  if (text.trim() === "") throw new InvalidArgumentError("Name a folder.");
  return text;
}

function toSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 3_600))
    throw new InvalidArgumentError("Write a number of seconds, more than 0 and at most 3600.");
  return seconds;
}
