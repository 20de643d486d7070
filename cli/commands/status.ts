import type { Command } from "commander";
import { secretsOf } from "../../core/config/secrets.ts";
import { RetryableError } from "../../core/errors.ts";
import { inUrl } from "../../core/own-host.ts";
import { askProcess, readStatus, type StatusReport } from "../../core/runtime/read-status.ts";
import { toAddress, type Address } from "../address.ts";
import { newPipelineCommand, openPipeline, type PipelineOptions } from "../command.ts";
import { quietLog } from "../log.ts";
import type { Output } from "../output.ts";
import { standingOf, statusLines } from "../status-lines.ts";
import { table } from "../table.ts";

interface StatusOptions extends PipelineOptions {
  readonly admin?: Address;
}

export function status(output: Output): Command {
  return newPipelineCommand(
    "status",
    "Ask every running process of a pipeline; without one, show what queue and state hold.",
    [
      "status sluice.json",
      "status --queue redis://localhost:6379 --project shop --json",
      "status --admin 127.0.0.1:7700",
    ],
  )
    .argument("[files...]", "config files; default sluice.json")
    .option(
      "--admin <host:port>",
      "ask only the process whose admin API listens there: it says what it does also while the queue is away",
      toAddress,
    )
    .action(async (files: readonly string[], options: StatusOptions) => {
      const { admin } = options;
      const { project, ...report } = admin
        ? await ofProcess(admin)
        : await ofPipeline(files, options, output);
      output.result("status", { project, ...report }, () => human(project, report, output));
    });
}

type Told = StatusReport & { readonly project: string };

async function ofProcess({ host, port }: Address): Promise<Told> {
  const one = await askProcess(`http://${inUrl(host)}:${port}`);
  const { project } = one;
  return { project, processes: [one], silent: [], subscriptions: [], deadLetters: {} };
}

async function ofPipeline(
  files: readonly string[],
  options: PipelineOptions,
  output: Output,
): Promise<Told> {
  const pipeline = await openPipeline(files, options);
  const log = quietLog(output.note, secretsOf(pipeline));
  const report = await readStatus(pipeline, { log }).catch((error: unknown) => {
    throw withWayRound(error);
  });
  return { project: pipeline.project, ...report };
}

/** Who runs is written in the state: while that is away a process can only be asked by its address. */
function withWayRound(error: unknown): unknown {
  if (!(error instanceof RetryableError) || error.code !== "redis.unreachable") return error;
  const { message, code, reason, fix = "" } = error;
  return new RetryableError(message, {
    code,
    reason,
    fix: `${fix}\nA process that runs says what it does: sluice status --admin HOST:PORT`,
    cause: error.cause,
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
