import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import type { Backend } from "../../core/backend.ts";
import { nearest } from "../../core/config/nearest.ts";
import type { Pipeline } from "../../core/config/pipeline.ts";
import type { RecordName } from "../../core/auditor.ts";
import type { Log } from "../../core/connector.ts";
import { SluiceError } from "../../core/errors.ts";
import { openAuditor } from "../../core/runtime/audit.ts";
import { familyKeysOf } from "../../core/runtime/children.ts";
import { eraseRecord, type Receipt } from "../../core/runtime/erase-record.ts";
import { newPipelineCommand, openPipeline, type PipelineOptions } from "../command.ts";
import { confirm } from "../confirm.ts";
import { exit } from "../exit.ts";
import type { Output } from "../output.ts";
import { useBackend } from "../with-backend.ts";

const maxKnown = 1_000;

interface EraseOptions extends PipelineOptions {
  readonly source: string;
  readonly key: string;
  readonly receipt?: string;
  readonly yes?: boolean;
}

export function erase(output: Output): Command {
  return newPipelineCommand(
    "erase",
    [
      "Remove every trace of a record: vectors, manifests, dead letters, cached embeddings, waiting events.",
      "Delete it at its origin first, or its next change brings it back. Answers with a receipt.",
    ].join("\n"),
    [
      "erase --source /postgres/shop/public.customers --key 42 sluice.json",
      "erase --source /file/notes --key people/ada.md --receipt ada.json --yes",
    ],
  )
    .argument("[files...]", "config files; default sluice.json")
    .requiredOption("--source <uri>", "the records' `source`, as their events and vectors carry it")
    .requiredOption(
      "--key <key>",
      'the record\'s key: its `subject`, or the one column of it (42 for ["42"])',
    )
    .option("--receipt <file>", "write the receipt to a file as well")
    .option("--yes", "do not ask")
    .action(async (files: readonly string[], options: EraseOptions) => {
      const pipeline = await openPipeline(files, options);
      const { signal } = new AbortController();
      await useBackend(pipeline, output, async ({ backend, log }) => {
        const run = { log, signal };
        const record = await recordOf(options, pipeline, backend, run);
        await confirm(
          `This removes ${record.subject} of ${record.source} from all sinks of ${pipeline.project}.`,
          options,
          output,
        );
        const receipt = await eraseRecord(pipeline, record, backend, run);
        if (options.receipt !== undefined)
          await writeFile(options.receipt, `${JSON.stringify(receipt, undefined, 2)}\n`);
        output.result("erase", receipt, () => human(receipt, output), { isOk: receipt.isErased });
        process.exitCode = receipt.isErased ? exit.done : exit.failed;
      });
    });
}

/** The record that is meant: relational keys may be written as their one column. */
async function recordOf(
  { source, key }: EraseOptions,
  { connectors }: Pipeline,
  backend: Backend,
  run: { readonly log: Log; readonly signal: AbortSignal },
): Promise<RecordName> {
  const known = new Set<string>();
  const candidates = [key, JSON.stringify([key])].map((subject) => ({ source, subject }));
  for (const { name, kind } of connectors) {
    if (kind === "source") continue;
    const { state } = backend.state.scope(name);
    for (const record of candidates)
      if ((await familyKeysOf(state, record)).length > 0) return record;
    for await (const page of backend.deadLetters.list(name))
      for (const { event } of page) {
        known.add(event.source);
        const found = candidates.find(
          (one) => one.source === event.source && one.subject === event.subject,
        );
        if (found) return found;
      }
  }
  for (const connector of connectors) {
    if (connector.kind !== "sink" || !connector.sink.openAuditor) continue;
    const auditor = await openAuditor(connector, backend, run);
    try {
      for (const record of candidates) if (await auditor.noteOf(record)) return record;
      for await (const record of auditor.records())
        if (known.size < maxKnown) known.add(record.source);
    } finally {
      await auditor.close();
    }
  }
  if (known.size > 0 && !known.has(source)) throw unknownSource(source, [...known]);
  return { source, subject: key };
}

function unknownSource(source: string, known: readonly string[]): SluiceError {
  const close = nearest(source, known);
  return new SluiceError(`sluice: no sink knows records of ${JSON.stringify(source)}.`, {
    code: "cli.unknown-source",
    fix: close ? `Write ${close}.` : `Name one of ${known.slice(0, 5).join(", ")}.`,
  });
}

function human(receipt: Receipt, { paint }: Output): string {
  const { record, parts, sinks, deadLetters, queuedEvents, notErasable, isErased } = receipt;
  const { isFileRewritten } = receipt;
  const whole = parts > 0 ? ` and its ${parts} parts` : "";
  const verb = parts > 0 ? "are" : "is";
  const glyph = isErased ? paint("green", "✓") : paint("red", "✗");
  const lines = [
    `${glyph} ${record.subject} of ${record.source}${whole} ${verb} ${isErased ? "erased" : "not erased: something is left"}`,
  ];
  for (const { sink, vectors, manifests, cachedEmbeddings, remaining } of sinks) {
    const left = remaining > 0 ? `, ${remaining} left` : "";
    lines.push(
      `  ${sink}: ${vectors} vectors, ${manifests} manifests, ${cachedEmbeddings} cached embeddings${left}`,
    );
  }
  lines.push(`  ${deadLetters} dead letters, ${queuedEvents} waiting events`);
  if (isFileRewritten === true)
    lines.push("  the state file is rewritten: its free pages hold nothing of it");
  if (isFileRewritten === false)
    lines.push(
      `  ${paint("yellow", "!")} the state file was busy: its free pages may still hold texts. Ask again when less is running`,
    );
  for (const name of notErasable)
    lines.push(`  ${paint("yellow", "!")} ${name} cannot take back what it wrote`);
  return lines.join("\n");
}
