import { setTimeout as sleep } from "node:timers/promises";
import { Option, type Command } from "commander";
import type { Backend } from "../../core/backend.ts";
import type { SourceConnector } from "../../core/config/pipeline.ts";
import { SluiceError } from "../../core/errors.ts";
import { askProcesses } from "../../core/runtime/read-status.ts";
import { askSnapshot, cancelSnapshots, fateOf } from "../../core/runtime/requests.ts";
import type { StateStore } from "../../core/state/state.ts";
import { newPipelineCommand, openPipeline, type PipelineOptions } from "../command.ts";
import { connectorOf } from "../connector-of.ts";
import type { Output } from "../output.ts";
import { openProgressLine } from "../progress-line.ts";
import { progressOf } from "../status-lines.ts";
import { useBackend } from "../with-backend.ts";

const lookEveryMs = 500;
/** A request is noticed within half a second. */
const takenWithinMs = 1_500;

interface SnapshotOptions extends PipelineOptions {
  readonly table: readonly string[];
  readonly wait?: boolean;
  readonly cancel?: boolean;
}

export function snapshot(output: Output): Command {
  return newPipelineCommand(
    "snapshot",
    [
      "Have a running source read everything again, while it goes on with what changes.",
      "What is no longer at the origin is removed at the end. Asking again before it began changes nothing.",
    ].join("\n"),
    [
      "snapshot articles sluice.json",
      "snapshot articles --table public.articles --table public.authors --wait",
    ],
  )
    .argument("<source>", "name of the source in the config files")
    .argument("[files...]", "config files; default sluice.json")
    .option(
      "--table <name>",
      "only this table or collection, as the source's config names it; may be repeated",
      (name: string, before: readonly string[]) => [...before, name],
      [],
    )
    .option("--wait", "show how far it is, and end when it is done")
    .addOption(
      new Option(
        "--cancel",
        "ask for nothing: forget what was asked for and is not done",
      ).conflicts(["table", "wait"]),
    )
    .action(async (name: string, files: readonly string[], options: SnapshotOptions) => {
      const pipeline = await openPipeline(files, options);
      const connector = connectorOf(pipeline, name, "source");
      refuseUnable(connector);
      await useBackend(pipeline, output, async ({ backend }) => {
        if (options.cancel) await cancel(connector, backend, output);
        else await askFor(connector, backend, options, output);
      });
    });
}

async function cancel({ name }: SourceConnector, backend: Backend, output: Output): Promise<void> {
  const forgotten = await cancelSnapshots(backend.state.scope(name).state);
  const cancelled = forgotten.map(({ id }) => id);
  output.result("snapshot", { source: name, cancelled }, () =>
    cancelled.length === 0
      ? `Nothing is asked of ${name}.`
      : `${output.paint("green", "✓")} ${cancelled.length} of ${name} forgotten; one that it is reading now may still be finished`,
  );
}

async function askFor(
  { name }: SourceConnector,
  backend: Backend,
  { table, wait = false }: SnapshotOptions,
  output: Output,
): Promise<void> {
  const { state } = backend.state.scope(name);
  const { request, isNew } = await askSnapshot(
    state,
    table.length > 0 ? { collections: table } : {},
  );
  const { id, askedAt, collections } = request;
  const began = performance.now();
  if (wait) await untilDone(name, id, backend, output);
  else await untilTaken(id, state);
  const result = { source: name, id, askedAt, isNew, ...(collections && { collections }) };
  output.result("snapshot", { ...result, isDone: wait }, () => {
    const of = collections ? `${collections.join(", ")} of ${name}` : name;
    const tick = output.paint("green", "✓");
    if (wait) return `${tick} snapshot of ${of} done in ${seconds(performance.now() - began)} s`;
    return isNew
      ? `${tick} snapshot of ${of} asked for; \`sluice status\` shows how far it is`
      : `${tick} snapshot of ${of} was asked for at ${askedAt} already, and has not begun`;
  });
}

/** A source at work that cannot do it says so at once; one that does not run is not waited for. */
async function untilTaken(id: string, state: StateStore): Promise<void> {
  const deadline = performance.now() + takenWithinMs;
  while (performance.now() < deadline) {
    const fate = await fateOf(state, id);
    if (typeof fate === "object") throw new SluiceError(fate.message, fate);
    if (fate === "done") return;
    await sleep(100);
  }
}

async function untilDone(
  name: string,
  id: string,
  { state }: Backend,
  output: Output,
): Promise<void> {
  const line = openProgressLine(output);
  try {
    for (;;) {
      const fate = await fateOf(state.scope(name).state, id);
      if (fate === "done") return;
      if (typeof fate === "object") throw new SluiceError(fate.message, fate);
      if (fate === "gone" || fate === "cancelled") throw lost(name, fate);
      line.say(`${name}: ${await doingOf(name, fate, state)}`);
      await sleep(lookEveryMs);
    }
  } finally {
    line.end();
  }
}

/** What the process that reads the source says of it. */
async function doingOf(
  name: string,
  fate: "asked" | "begun",
  state: Backend["state"],
): Promise<string> {
  const { processes, silent } = await askProcesses(state);
  const all = processes.flatMap(({ connectors }) => connectors.filter((one) => one.name === name));
  const reading = all.find((one) => one.state !== "standby" && one.state !== "stopped");
  if (!reading) {
    const mute = silent.find(({ connectors }) => connectors.includes(name));
    if (mute) return `pid ${mute.pid} on ${mute.host} may read it, and does not answer from here`;
    return "no process reads it now; it goes on when one does";
  }
  if (reading.error) return `${reading.state}: ${reading.error.message}`;
  if (fate === "asked" || reading.progress?.phase !== "snapshot") return "about to begin";
  return progressOf(reading.progress);
}

function refuseUnable({ name, source }: SourceConnector): void {
  if (source.capabilities.snapshotOnRequest) return;
  throw new SluiceError(`${name}: a ${source.name} source takes no snapshots on request.`, {
    code: "cli.no-snapshot",
    fix: `To have it read everything again, stop it, \`sluice remove ${name}\` and start it anew.`,
  });
}

function lost(name: string, fate: "gone" | "cancelled"): SluiceError {
  const why = fate === "gone" ? "its state is gone, and the request with it" : "it was cancelled";
  return new SluiceError(`${name}: the snapshot is not taken: ${why}.`, {
    code: "cli.request-lost",
    fix: "Ask again. Was the state lost? Then Redis was, or the source was removed.",
  });
}

function seconds(ms: number): string {
  return (ms / 1_000).toFixed(1);
}
