import type { Command } from "commander";
import { nearest } from "../../core/config/nearest.ts";
import { SluiceError } from "../../core/errors.ts";
import { endSubscription } from "../../core/runtime/remove.ts";
import { readSubscriptions } from "../../core/runtime/standings.ts";
import { holdIdle } from "../../core/runtime/who-runs.ts";
import { newPipelineCommand, type PipelineOptions } from "../command.ts";
import { confirm } from "../confirm.ts";
import type { Output } from "../output.ts";
import { standingOf } from "../status-lines.ts";
import { table } from "../table.ts";
import { withBackend } from "../with-backend.ts";

interface RemoveOptions extends PipelineOptions {
  readonly topic?: string;
  readonly yes?: boolean;
}

export function subscriptions(output: Output): Command {
  return newPipelineCommand(
    "subscriptions",
    "List who reads which topic: what waits, who consumes it, and whether it has everything.",
    [
      "subscriptions sluice.json",
      "subscriptions remove old-search --queue redis://localhost:6379 --project shop",
    ],
  )
    .argument("[files...]", "config files; default sluice.json")
    .action(async (files: readonly string[], options: PipelineOptions) => {
      await withBackend(files, options, output, async ({ pipeline: { project }, backend }) => {
        const all = await readSubscriptions(backend);
        output.result("subscriptions", { project, subscriptions: all }, () => list(all, output));
      });
    })
    .addCommand(removal(output));
}

function removal(output: Output): Command {
  return newPipelineCommand(
    "remove",
    "End the subscriptions of a connector that does not run: what waits for them is dropped.",
    ["subscriptions remove old-search sluice.json --topic notes"],
  )
    .argument("<name>", "name of the subscription: its connector's")
    .argument("[files...]", "config files; default sluice.json")
    .option("--topic <name>", "only that of this topic")
    .option("--yes", "do not ask")
    .action(async (name: string, files: readonly string[], options: RemoveOptions) => {
      await withBackend(files, options, output, async ({ backend, log }) => {
        const all = await backend.topics.subscriptions(options.topic);
        const own = all.filter((one) => one.name === name);
        if (own.length === 0) throw unknown(name, all);
        const ended = own.map(({ topic, waiting }) => ({ topic, waiting }));
        const lines = ended.map(
          ({ topic, waiting }) => `  subscription of ${topic}, with ${waiting} waiting events`,
        );
        await confirm([`This ends of ${name}:`, ...lines].join("\n"), options, output);
        const lease = await holdIdle(name, backend, log);
        try {
          for (const { topic } of ended) await endSubscription(topic, name, backend);
        } finally {
          await lease.release();
        }
        output.result("subscriptions", { name, ended }, () =>
          ended
            .map(
              ({ topic, waiting }) =>
                `${output.paint("green", "✓")} subscription ${name} of ${topic} ended: ${dropped(waiting)}`,
            )
            .join("\n"),
        );
      });
    });
}

/** What becomes of a backlog. */
export function dropped(waiting: number): string {
  if (waiting === 0) return "nothing waited";
  return `${waiting.toLocaleString("en")} waiting event${waiting === 1 ? "" : "s"} dropped`;
}

function list(all: Awaited<ReturnType<typeof readSubscriptions>>, { paint }: Output): string {
  if (all.length === 0) return "No subscriptions.";
  const rows = all.map((one) => [
    one.name,
    `reads ${one.topic}`,
    `${one.waiting.toLocaleString("en")} waiting`,
    one.consumers === 1 ? "1 consumer" : `${one.consumers} consumers`,
    standingOf([one]),
  ]);
  return table(rows, { paint: (cell, _, column) => (column === 0 ? paint("bold", cell) : cell) });
}

function unknown(name: string, all: readonly { readonly name: string }[]): SluiceError {
  const names = [...new Set(all.map((one) => one.name))];
  const close = nearest(name, names);
  return new SluiceError(`sluice: there is no subscription ${JSON.stringify(name)}.`, {
    code: "cli.unknown-name",
    fix: close ? `Write ${close}.` : "See `sluice subscriptions` for those that are there.",
  });
}
