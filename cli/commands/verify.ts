import type { Command } from "commander";
import type { Drift } from "../../core/auditor.ts";
import { openAuditor } from "../../core/runtime/audit.ts";
import { repairSink, type Repair } from "../../core/runtime/repair.ts";
import { verifySink, type VerifyReport } from "../../core/runtime/verify-sink.ts";
import { newPipelineCommand, openPipeline, type PipelineOptions } from "../command.ts";
import { connectorOf } from "../connector-of.ts";
import { exit } from "../exit.ts";
import type { Output } from "../output.ts";
import { openProgressLine } from "../progress-line.ts";
import { wholeNumber } from "../whole-number.ts";
import { useBackend } from "../with-backend.ts";

/** A repair holds its drifts in memory. */
const maxRepaired = 1_000_000;
const maxShown = 10;

interface VerifyOptions extends PipelineOptions {
  readonly sample: number;
  readonly values?: boolean;
  readonly sources: boolean;
  readonly patience: number;
  readonly repair?: boolean;
  readonly force?: boolean;
}

export function verify(output: Output): Command {
  return newPipelineCommand(
    "verify",
    [
      "Compare a sink's index with the sink's notes of it, and with its sources where they can be read without a trace.",
      "May run beside the pipeline. Exit code 0 when all is as it should be, 1 on drift or when that could not be settled.",
      "Changes nothing without --repair.",
    ].join("\n"),
    ["verify search sluice.json", "verify search --sample 1000 --json", "verify search --repair"],
  )
    .argument("<sink>", "name of the sink in the config files")
    .argument("[files...]", "config files; default sluice.json")
    .option(
      "--sample <n>",
      "vectors to read whole and compare, chosen at random",
      wholeNumber(0),
      100,
    )
    .option(
      "--values",
      "embed the texts of the sampled whose vector is not cached, to compare its numbers; that costs",
    )
    .option("--no-sources", "do not read the sources")
    .option(
      "--patience <s>",
      "seconds that a change may take from its origin to here",
      wholeNumber(0),
      20,
    )
    .option("--repair", "have what drifted sent again, or deleted, through the queue")
    .option("--force", "repair also where that deletes much, and delete ids that are no record's")
    .action(async (name: string, files: readonly string[], options: VerifyOptions) => {
      const pipeline = await openPipeline(files, options);
      const sink = connectorOf(pipeline, name, "sink");
      const { signal } = new AbortController();
      await useBackend(pipeline, output, async ({ backend, log }) => {
        const auditor = await openAuditor(sink, backend, { log, signal });
        try {
          const place = { backend, auditor };
          const drifts: Drift[] = [];
          const line = openProgressLine(output);
          let found = 0;
          const report = await verifySink(pipeline, sink, place, {
            sample: options.sample,
            values: options.values ?? false,
            patienceMs: options.patience * 1_000,
            withSources: options.sources,
            found: (drift) => {
              if (options.repair && drifts.length < maxRepaired) drifts.push(drift);
              line.say(`${++found} found so far`);
            },
            log,
            signal,
          });
          line.end();
          const { repair: isWanted = false, force = false } = options;
          const repair =
            isWanted && report.isDrifted
              ? await repairSink(pipeline, sink, place, { drifts, report, force, signal })
              : undefined;
          output.result(
            "verify",
            { ...report, ...(repair && { repair }) },
            () => human(report, repair, output),
            { isOk: report.isExact },
          );
          process.exitCode = report.isExact ? exit.done : exit.failed;
        } finally {
          await auditor.close();
        }
      });
    });
}

function human(report: VerifyReport, repair: Repair | undefined, output: Output): string {
  const { paint } = output;
  const { sink, documents, vectors, drift, sampled, scanned, skipped, unsettled } = report;
  const read = `${counted(documents, "document")}, ${counted(vectors, "vector")}, ${sampled.toLocaleString("en")} read whole`;
  const lines = [`${headOf(report, output)}: ${read}`, ...valuesLines(report)];
  const compared = scanned.length > 0 ? [`compared with ${scanned.join(", ")}`] : [];
  lines.push(...compared.map((text) => `  ${text}`));
  for (const { source, why } of skipped) lines.push(`  not compared with ${source}: ${why}`);
  for (const kind of ["missing", "stale", "orphaned"] as const)
    if (drift[kind] > 0)
      lines.push(`  ${paint("red", `${drift[kind].toLocaleString("en")} ${kind}`)}`);
  if (drift["old-lineage"] > 0)
    lines.push(
      `  ${counted(drift["old-lineage"], "document")} made by earlier transforms: \`sluice snapshot SOURCE\` refreshes them`,
    );
  if (unsettled > 0)
    lines.push(
      `  ${paint("yellow", counted(unsettled, "place"))} changed all the while, or waits for its change: ask again, with a longer --patience`,
    );
  if (report.deadLettered > 0)
    lines.push(
      `  ${paint("yellow", counted(report.deadLettered, "record"))} with an open dead letter: \`sluice dead-letters\` tells why`,
    );
  const shown = report.examples.filter(({ kind }) => kind !== "old-lineage").slice(0, maxShown);
  for (const one of shown) lines.push(`    ${paint("dim", exampleText(one))}`);
  if (repair) lines.push(...repairLines(repair, report));
  else if (report.isDrifted)
    lines.push(
      `  ${paint("cyan", "→")} sluice verify ${sink} --repair${isForeignOnly(report) ? " --force" : ""}`,
    );
  return lines.join("\n");
}

function headOf({ sink, isDrifted, isExact, deadLettered }: VerifyReport, output: Output): string {
  const { paint } = output;
  if (isDrifted) return `${paint("red", "✗")} ${sink} has drifted`;
  if (!isExact) return `${paint("yellow", "?")} ${sink} is not settled`;
  return `${paint("green", "✓")} ${sink} is exact${deadLettered > 0 ? " but for dead letters" : ""}`;
}

function valuesLines({ sampled, values, embedded }: VerifyReport): readonly string[] {
  if (sampled === 0) return [];
  const { texts, tokens, dollars } = embedded;
  const price = dollars === undefined ? "" : `, about $${dollars.toFixed(4)}`;
  const paid =
    texts > 0 ? `; ${counted(texts, "text")} embedded, ${counted(tokens, "token")}${price}` : "";
  const how = values < sampled && texts === 0 ? "; --values embeds the others" : "";
  return [`  numbers of ${values.toLocaleString("en")} compared with the model's${paid}${how}`];
}

/** A repair without force would leave it all. */
function isForeignOnly({ drift, foreign, examples }: VerifyReport): boolean {
  const { missing, stale } = drift;
  return (
    foreign > 0 &&
    missing + stale === 0 &&
    examples.every((one) => one.isForeign ?? one.kind === "old-lineage")
  );
}

function repairLines(
  { marked, deletes, removed, asked, unable }: Repair,
  { foreign }: VerifyReport,
): readonly string[] {
  return [
    `  repair: ${counted(marked, "place")} marked, ${counted(deletes, "delete")} published`,
    ...(removed > 0 ? [`  ${counted(removed, "id")} of nobody deleted`] : []),
    ...(foreign > removed
      ? [`  ${counted(foreign - removed, "id")} of nobody left alone: --force deletes them`]
      : []),
    ...(asked.length > 0 ? [`  asked to read everything again: ${asked.join(", ")}`] : []),
    ...unable.map(
      (name) =>
        `  ${name} takes no such requests: stop it, \`sluice remove ${name}\`, start it anew`,
    ),
  ];
}

function exampleText({ kind, source, subject, place, ids }: Drift): string {
  const who = subject === undefined ? (ids[0] ?? "") : `${subject} of ${source ?? ""}`;
  const which = ids.length > 0 ? `, ${counted(ids.length, "vector")}` : "";
  return `${kind}: ${who} in ${place}${which}`;
}

function counted(count: number, what: string): string {
  return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
}
