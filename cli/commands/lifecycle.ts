import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import type { ResolvedConnector } from "../../core/config/pipeline.ts";
import { askProcesses } from "../../core/runtime/read-status.ts";
import type { ConnectorState } from "../../core/runtime/status.ts";
import { give, type Order, type Wish } from "../../core/runtime/wishes.ts";
import type { StatePlace } from "../../core/state/state.ts";
import { whileUsable } from "../../core/runtime/while-usable.ts";
import { newPipelineCommand, type PipelineOptions } from "../command.ts";
import { anyConnectorOf } from "../connector-of.ts";
import type { Output } from "../output.ts";
import { withBackend } from "../with-backend.ts";

/** Processes notice within half a second; a stop waits for what is being handled. */
const obeyedWithinMs = 10_000;
/** By then whoever still says "stopped" has begun, and come to its end. */
const noticedWithinMs = 1_500;
const pollMs = 200;

const about: Readonly<Record<Order, string>> = {
  pause: [
    "Have a connector take no new work, in every process that runs it, until `sluice resume`.",
    "It keeps its lease and its connections. Restarts do not end it.",
  ].join("\n"),
  resume: "Have a connector go on that was paused or stopped.",
  stop: [
    "Have a connector let go of everything, in every process that runs it, until `sluice resume`.",
    "Then its checkpoint may be changed, or the connector removed. Others go on; restarts do not end it.",
  ].join("\n"),
  restart:
    "Have a connector close and start again, in every process that runs it: also one that failed.",
};

export const pause = (output: Output): Command => lifecycle("pause", output);
export const resume = (output: Output): Command => lifecycle("resume", output);
export const stop = (output: Output): Command => lifecycle("stop", output);
export const restart = (output: Output): Command => lifecycle("restart", output);

function lifecycle(order: Order, output: Output): Command {
  return newPipelineCommand(order, about[order], [
    `${order} articles sluice.json`,
    `${order} articles sluice.json --queue redis://localhost:6379`,
  ])
    .argument("<connector>", "its name in the config files")
    .argument("[files...]", "config files; default sluice.json")
    .action(async (name: string, files: readonly string[], options: PipelineOptions) => {
      await withBackend(files, options, output, async ({ pipeline, backend }) => {
        const { initialState: initial = "running" } = anyConnectorOf(pipeline, name);
        const { wish, processes } = await whileUsable(backend, async ({ state: place }) => {
          const wish = await give(order, name, { place, initial });
          return { wish, processes: await untilObeyed(name, wish, place) };
        });
        output.result(order, { connector: name, ...wish, processes }, () =>
          human(name, wish, processes, output),
        );
      });
    });
}

interface Obeying {
  readonly host: string;
  readonly pid: number;
  readonly state: ConnectorState;
}

/** What the processes that have the connector say once all of them do as they are told, or when time is over. */
async function untilObeyed(
  name: ResolvedConnector["name"],
  { wanted }: Wish,
  place: StatePlace,
): Promise<readonly Obeying[]> {
  const begun = performance.now();
  for (;;) {
    const { processes } = await askProcesses(place);
    const all = processes.flatMap(({ host, pid, connectors }) =>
      connectors
        .filter((one) => one.name === name)
        .map(({ state }): Obeying => ({ host, pid, state })),
    );
    const ms = performance.now() - begun;
    const mayBegin = wanted === "running" && ms < noticedWithinMs;
    const isDone = all.every(
      ({ state }) => isObeyed(wanted, state) && !(mayBegin && state === "stopped"),
    );
    if (isDone || ms > obeyedWithinMs) return all;
    await sleep(pollMs);
  }
}

function isObeyed(wanted: Wish["wanted"], state: ConnectorState): boolean {
  if (wanted === "running") return state !== "paused";
  // A source that has no more to read is stopped, whatever is wanted.
  return state === wanted || state === "stopped";
}

function human(
  name: string,
  { wanted }: Wish,
  processes: readonly Obeying[],
  { paint }: Output,
): string {
  if (processes.length === 0)
    return `${paint("green", "✓")} ${name} is to be ${wanted}: no process has it now, the next one that does will obey`;
  return processes
    .map(({ host, pid, state }) => {
      const glyph = isObeyed(wanted, state) ? paint("green", "✓") : paint("yellow", "!");
      const why = wanted === "running" && state === "stopped" ? ", having no more to read" : "";
      return `${glyph} ${name} is ${state}${why} · ${host} pid ${pid}`;
    })
    .join("\n");
}
