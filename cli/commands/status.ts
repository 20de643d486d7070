import type { Command } from "commander";
import { secretsOf } from "../../core/config/secrets.ts";
import { readStatus, type StatusReport } from "../../core/runtime/read-status.ts";
import { newPipelineCommand, openPipeline, type PipelineOptions } from "../command.ts";
import { quietLog } from "../log.ts";
import type { Output } from "../output.ts";
import { standingOf, statusLines } from "../status-lines.ts";
import { table } from "../table.ts";

export function status(output: Output): Command {
  return newPipelineCommand(
    "status",
    "Ask every running process of a pipeline; without one, show what queue and state hold.",
    ["status sluice.json", "status --queue redis://localhost:6379 --project shop --json"],
  )
    .argument("[files...]", "config files; default sluice.json")
    .action(async (files: readonly string[], options: PipelineOptions) => {
      const pipeline = await openPipeline(files, options, output);
      const log = quietLog(output.note, secretsOf(pipeline));
      const report = await readStatus(pipeline, { log });
      output.result("status", { project: pipeline.project, ...report }, () =>
        human(pipeline.project, report, output),
      );
    });
}

function human(project: string, report: StatusReport, { paint }: Output): string {
  const { processes, silent, subscriptions, deadLetters } = report;
  const blocks = processes.map((one) => statusLines(one, { paint }).join("\n"));
  if (silent.length > 0)
    blocks.push(
      silent
        .map(
          ({ host, pid, url }) =>
            `${paint("yellow", "!")} ${host} pid ${pid} does not answer at ${url}`,
        )
        .join("\n"),
    );
  if (processes.length === 0) {
    const none = silent.length > 0 ? "no process answers" : "no process runs";
    const heading = `${paint("bold", project)} · ${none}`;
    const rows = subscriptions.map((one) => [
      `  ${one.name}`,
      `reads ${one.topic}`,
      `${one.waiting} waiting`,
      standingOf([one]),
      deadLetters[one.name] ? `${deadLetters[one.name]} dead letters` : "",
    ]);
    blocks.push(rows.length > 0 ? `${heading}\n${table(rows)}` : `${heading}, nothing waits`);
  }
  return blocks.join("\n\n");
}
