import { Option, type Command } from "commander";
import type { Backend } from "../../core/backend.ts";
import { nearest } from "../../core/config/nearest.ts";
import type { Pipeline } from "../../core/config/pipeline.ts";
import { SluiceError } from "../../core/errors.ts";
import type { DeadLetter } from "../../core/queue/queue.ts";
import { withLine } from "../../core/runtime/parking.ts";
import { replayLetters, type Replay } from "../../core/runtime/replay.ts";
import { newPipelineCommand, openPipeline, type PipelineOptions } from "../command.ts";
import { confirm } from "../confirm.ts";
import type { Output } from "../output.ts";
import { openProgressLine } from "../progress-line.ts";
import { table } from "../table.ts";
import { wholeNumber } from "../whole-number.ts";
import { useBackend } from "../with-backend.ts";

interface Choice extends PipelineOptions {
  readonly id: readonly string[];
  readonly code?: string;
  readonly stage?: string;
  readonly all?: boolean;
  readonly limit?: number;
  readonly yes?: boolean;
}

export function deadLetters(output: Output): Command {
  return newPipelineCommand(
    "dead-letters",
    "See and settle what was given up on: list, show, replay, drop.",
    ["dead-letters list search sluice.json", "dead-letters replay search --all"],
  )
    .addCommand(listing(output))
    .addCommand(showing(output))
    .addCommand(replaying(output))
    .addCommand(dropping(output));
}

function listing(output: Output): Command {
  return choosing(
    "list",
    "List the events that a connector gave up on, oldest first, with the reason.",
    [
      "dead-letters list search sluice.json",
      "dead-letters list search --code pinecone.metadata-large",
    ],
  )
    .option("--limit <n>", "show up to so many", wholeNumber(1), 50)
    .action(async (name: string, files: readonly string[], options: Choice) => {
      await withLetters(name, files, options, output, async ({ letters }) => {
        const some = letters.slice(0, options.limit);
        output.result("dead-letters list", { name, total: letters.length, letters: some }, () =>
          letters.length === 0 ? `${name} has no dead letters.` : lines(some, letters, output),
        );
      });
    });
}

function showing(output: Output): Command {
  return choosing("show", "Show dead letters whole: the event, the error, attempts and times.", [
    "dead-letters show search --id 2f9c",
  ]).action(async (name: string, files: readonly string[], options: Choice) => {
    await withLetters(name, files, chosen(options), output, async ({ letters }) => {
      output.result("dead-letters show", { name, letters }, () =>
        letters.map((letter) => JSON.stringify(letter, null, 2)).join("\n"),
      );
    });
  });
}

function replaying(output: Output): Command {
  return choosing(
    "replay",
    [
      "Give dead letters to their connector again, once what refused them is mended. Of a record that was",
      "written since in a newer version, the newer one stays where the sink, or who receives, compares versions.",
    ].join("\n"),
    [
      "dead-letters replay search --id 2f9c",
      "dead-letters replay search --code openai.too-long",
      "dead-letters replay search --all",
    ],
  ).action(async (name: string, files: readonly string[], options: Choice) => {
    await withLetters(name, files, chosen(options), output, async ({ all, backend, ...some }) => {
      const letters = withLine(some.letters, all);
      const line = openProgressLine(output);
      const replay = await replayLetters(name, letters, backend, {
        signal: new AbortController().signal, // Ctrl-C ends the process: what is replayed is
        replayed: (count) => line.say(`${count} of ${letters.length} replayed`),
      }).finally(line.end);
      output.result("dead-letters replay", { name, ...replay }, () => told(name, replay, output));
    });
  });
}

function dropping(output: Output): Command {
  return choosing("drop", "Forget dead letters: their events are not written, now or later.", [
    "dead-letters drop search --id 2f9c --yes",
  ])
    .option("--yes", "do not ask")
    .action(async (name: string, files: readonly string[], options: Choice) => {
      await withLetters(name, files, chosen(options), output, async ({ letters, backend }) => {
        const ids = letters.map(({ id }) => id);
        if (ids.length > 0)
          await confirm(`This forgets ${ids.length} dead letters of ${name}.`, options, output);
        await backend.deadLetters.remove(name, ids);
        output.result("dead-letters drop", { name, dropped: ids }, () =>
          settled("forgotten", ids.length, output),
        );
      });
    });
}

function choosing(name: string, description: string, examples: readonly string[]): Command {
  return newPipelineCommand(name, description, examples)
    .argument("<name>", "name of the connector that gave them up")
    .argument("[files...]", "config files; default sluice.json")
    .option(
      "--id <id>",
      "this one, or that whose id begins so; may be repeated",
      (id: string, before: readonly string[]) => [...before, id],
      [],
    )
    .option("--code <code>", "those with this error code")
    .option("--stage <stage>", "those that this transform refused, or `write`")
    .addOption(new Option("--all", "every one").conflicts(["id", "code", "stage"]));
}

/** What changes something says which: nobody replays or forgets all of them by mistake. */
function chosen(options: Choice): Choice {
  const { id, code, stage, all } = options;
  if (id.length > 0 || code !== undefined || stage !== undefined || all) return options;
  throw new SluiceError("sluice: which dead letters?", {
    code: "cli.usage",
    fix: "Add --id ID, --code CODE, --stage STAGE or --all.",
  });
}

async function withLetters(
  name: string,
  files: readonly string[],
  options: Choice,
  output: Output,
  use: (opened: {
    readonly letters: readonly DeadLetter[];
    readonly all: readonly DeadLetter[];
    readonly backend: Backend;
  }) => Promise<void>,
): Promise<void> {
  if (name.endsWith(".json"))
    throw new SluiceError(`dead-letters: ${JSON.stringify(name)} is no connector's name.`, {
      code: "cli.usage",
      fix: `Name the connector that gave up first, then the files: sluice dead-letters list NAME ${name}. \`sluice status ${name}\` shows which has dead letters.`,
    });
  const pipeline = await openPipeline(files, options);
  await useBackend(pipeline, output, async ({ backend }) => {
    const all: DeadLetter[] = [];
    for await (const page of backend.deadLetters.list(name)) all.push(...page);
    if (all.length === 0) refuseUnknown(name, pipeline);
    const letters = all.filter((letter) => isChosen(letter, options));
    const missing = options.id.filter((id) => !all.some((letter) => letter.id.startsWith(id)));
    if (missing.length > 0) throw unknownLetter(name, missing);
    const inOrder = letters.toSorted((a, b) => (a.firstAt < b.firstAt ? -1 : 1));
    await use({ letters: inOrder, all, backend });
  });
}

function isChosen({ id, stage, error }: DeadLetter, options: Choice): boolean {
  return (
    (options.id.length === 0 || options.id.some((wanted) => id.startsWith(wanted))) &&
    (options.code === undefined || error.code === options.code) &&
    (options.stage === undefined || stage === options.stage)
  );
}

function lines(some: readonly DeadLetter[], all: readonly DeadLetter[], { paint }: Output): string {
  const rows = some.map(({ id, lastAt, stage, event, error, attempts }) => [
    id,
    lastAt.slice(0, 19).replace("T", " "),
    `${event.source} ${event.subject ?? event.id}`,
    `${stage}: ${error.code}`,
    attempts === 1 ? "1 try" : `${attempts} tries`,
    error.message,
  ]);
  const listed = table(rows, {
    paint: (cell, _, column) => (column === 0 ? paint("bold", cell) : cell),
  });
  const more = all.length - some.length;
  return more > 0 ? `${listed}\n… and ${more.toLocaleString("en")} more: --limit N` : listed;
}

function told(name: string, { replayed, again, waiting }: Replay, output: Output): string {
  const { paint } = output;
  const said: string[] = [];
  if (replayed.length > 0 || again.length + waiting.length === 0)
    said.push(settled(`given to ${name} again`, replayed.length, output));
  if (again.length > 0)
    said.push(
      `${paint("red", "✗")} ${letters(again.length)} refused again, or behind one that was: sluice dead-letters list ${name}`,
    );
  if (waiting.length > 0)
    said.push(
      `${paint("yellow", "…")} ${letters(waiting.length)} released: handled once ${name} runs and comes to them`,
    );
  return said.join("\n");
}

function letters(count: number): string {
  return `${count.toLocaleString("en")} dead letter${count === 1 ? "" : "s"}`;
}

function settled(what: string, count: number, { paint }: Output): string {
  if (count === 0) return "No dead letters are like that.";
  return `${paint("green", "✓")} ${letters(count)} ${what}`;
}

function refuseUnknown(name: string, { connectors }: Pipeline): void {
  if (connectors.some((one) => one.name === name)) return;
  const close = nearest(
    name,
    connectors.map((one) => one.name),
  );
  throw new SluiceError(
    `sluice: no connector ${JSON.stringify(name)} is in the config, and none of that name has dead letters.`,
    {
      code: "cli.unknown-name",
      fix: close ? `Write ${close}.` : "See the names in `sluice status`.",
    },
  );
}

function unknownLetter(name: string, ids: readonly string[]): SluiceError {
  return new SluiceError(`${name}: no dead letter ${ids.join(", ")}.`, {
    code: "cli.unknown-letter",
    fix: `See \`sluice dead-letters list ${name}\`.`,
  });
}
