import type { Command } from "commander";
import type { ResolvedConnector } from "../../core/config/pipeline.ts";
import { secretsOf } from "../../core/config/secrets.ts";
import { estimateSink, type Estimate } from "../../core/runtime/estimate.ts";
import { newPipelineCommand, openPipeline, type PipelineOptions } from "../command.ts";
import { quietLog } from "../log.ts";
import type { Output } from "../output.ts";
import { openProgressLine } from "../progress-line.ts";
import { wholeNumber } from "../whole-number.ts";
import { pathOf, placeText } from "./validate.ts";

interface PlanOptions extends PipelineOptions {
  readonly limit: number;
}

export function plan(output: Output): Command {
  return newPipelineCommand(
    "plan",
    [
      "Say what a pipeline would do, and what its first run would embed: texts, tokens and their price.",
      "Sources are read and transforms run, but nothing is published, embedded or written.",
    ].join("\n"),
    ["plan sluice.json", "plan sluice.json --limit 1000 --json"],
  )
    .argument("[files...]", "config files; default sluice.json")
    .option("--limit <n>", "most records to read for a sink", wholeNumber(1), 1_000_000)
    .action(async (files: readonly string[], options: PlanOptions) => {
      const pipeline = await openPipeline(files, options, output);
      const log = quietLog(output.note, secretsOf(pipeline));
      const { signal } = new AbortController();
      const line = openProgressLine(output);
      const estimates: Estimate[] = [];
      for (const connector of pipeline.connectors) {
        if (connector.kind !== "sink") continue;
        line.say(`reading what goes to ${connector.name}`);
        const estimate = await estimateSink(pipeline, connector, { ...options, log, signal });
        if (estimate) estimates.push(estimate);
      }
      line.end();
      const { project, queue, connectors } = pipeline;
      const result = {
        project,
        queue: placeText(queue),
        connectors: connectors.map((one) => ({
          name: one.name,
          kind: one.kind,
          path: pathOf(one),
        })),
        estimates,
      };
      output.result("plan", result, () => human(connectors, estimates, output));
    });
}

function human(
  connectors: readonly ResolvedConnector[],
  estimates: readonly Estimate[],
  { paint }: Output,
): string {
  const paths = connectors.map((one) => `${paint("bold", one.name)}  ${pathOf(one)}`);
  return [paths.join("\n"), ...estimates.map((one) => block(one, paint))].join("\n\n");
}

function block(estimate: Estimate, paint: Output["paint"]): string {
  const { sink, model, records, refused, documents, chunks, texts, tokens, dollars } = estimate;
  const n = (value: number) => value.toLocaleString("en");
  const lines = [
    `${paint("bold", sink)}  first run, ${model}`,
    `  ${n(records)} records → ${n(documents)} documents → ${n(chunks)} vectors`,
    `  ${n(texts)} texts to embed, ${n(tokens)} tokens${dollars === undefined ? "" : `, about $${dollars.toFixed(2)}`}`,
  ];
  if (refused > 0) lines.push(`  ${paint("yellow", `${n(refused)} would be dead letters`)}`);
  if (estimate.limit !== undefined)
    lines.push(`  reading ended at ${n(estimate.limit)} records: there may be more`);
  for (const { source, why } of estimate.skipped) lines.push(`  ${source} is not counted: ${why}`);
  return lines.join("\n");
}
