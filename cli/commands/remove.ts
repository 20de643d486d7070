import type { Command } from "commander";
import { nearest } from "../../core/config/nearest.ts";
import type { Pipeline, ResolvedConnector } from "../../core/config/pipeline.ts";
import { SluiceError } from "../../core/errors.ts";
import {
  belongingsOf,
  hasOrigin,
  removeConnector,
  type Belongings,
  type Removed,
} from "../../core/runtime/remove.ts";
import { newPipelineCommand, openPipeline, type PipelineOptions } from "../command.ts";
import { confirm } from "../confirm.ts";
import type { Output } from "../output.ts";
import { dropped } from "./subscriptions.ts";
import { useBackend } from "../with-backend.ts";

/** How long a connector may take to remove what it made at its origin. */
const timeoutMs = 60_000;

interface RemoveOptions extends PipelineOptions {
  readonly yes?: boolean;
}

export function remove(output: Output): Command {
  return newPipelineCommand(
    "remove",
    [
      "Take a connector away for good: what it made at its origin (a slot, a publication), its subscriptions,",
      "dead letters, checkpoint and state. It must not be running. What a sink wrote stays where it is.",
      "One that is no longer in the files loses all but what it made at its origin.",
    ].join("\n"),
    [
      "remove articles sluice.json",
      "remove old-search --queue redis://localhost:6379 --project shop --yes",
    ],
  )
    .argument("<name>", "name of the connector")
    .argument("[files...]", "config files; default sluice.json")
    .option("--yes", "do not ask")
    .action(async (name: string, files: readonly string[], options: RemoveOptions) => {
      const pipeline = await openPipeline(files, options);
      const connector = pipeline.connectors.find((one) => one.name === name);
      await useBackend(pipeline, output, async ({ backend, log }) => {
        const belongings = await belongingsOf(name, backend);
        if (!connector) refuseUnknown(name, belongings, pipeline);
        await confirm(question(name, connector, belongings), options, output);
        const run = { log, signal: AbortSignal.timeout(timeoutMs) };
        const removed = await removeConnector(name, connector, backend, run);
        output.result("remove", { name, isInFiles: connector !== undefined, ...removed }, () =>
          human(name, removed, output),
        );
      });
    });
}

function refuseUnknown(name: string, belongings: Belongings, { connectors }: Pipeline): void {
  const { subscriptions, deadLetters, hasState } = belongings;
  if (subscriptions.length > 0 || deadLetters > 0 || hasState) return;
  const close = nearest(
    name,
    connectors.map((one) => one.name),
  );
  throw new SluiceError(
    `sluice: no connector ${JSON.stringify(name)} is in the config, and nothing is kept of one.`,
    {
      code: "cli.unknown-name",
      fix: close
        ? `Write ${close}.`
        : "See its name in `sluice subscriptions`, and name the right --queue and --project.",
    },
  );
}

function question(
  name: string,
  connector: ResolvedConnector | undefined,
  { subscriptions, deadLetters, requests }: Belongings,
): string {
  const lines = subscriptions.map(
    ({ topic, waiting }) => `its subscription of ${topic}, with ${waiting} waiting events`,
  );
  if (connector && hasOrigin(connector)) lines.unshift("what it made at its origin");
  if (deadLetters > 0) lines.push(counted(deadLetters, "dead letter"));
  if (requests > 0) lines.push(counted(requests, "snapshot request"));
  lines.push("its checkpoint and state");
  const unknown = connector ? [] : ["It is not in the files: what it made at its origin stays."];
  return [`This removes ${name}:`, ...lines.map((line) => `  ${line}`), ...unknown].join("\n");
}

function human(name: string, removed: Removed, { paint }: Output): string {
  const { findings, subscriptions, deadLetters, requests, entries } = removed;
  const lines = [
    ...findings.map(({ message }) => message),
    ...subscriptions.map(
      ({ topic, waiting }) => `subscription of ${topic} ended: ${dropped(waiting)}`,
    ),
    ...(deadLetters > 0 ? [`${counted(deadLetters, "dead letter")} dropped`] : []),
    ...(requests > 0 ? [`${counted(requests, "snapshot request")} dropped`] : []),
    `checkpoint and state: ${entries} ${entries === 1 ? "entry" : "entries"} deleted`,
  ];
  return [`${paint("green", "✓")} ${name} is removed`, ...lines.map((line) => `  ${line}`)].join(
    "\n",
  );
}

function counted(count: number, what: string): string {
  return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
}
