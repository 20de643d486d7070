import type { Command } from "commander";
import { secretsOf } from "../../core/config/secrets.ts";
import type { Finding } from "../../core/connector.ts";
import { checkPipeline, type CheckGroup } from "../../core/runtime/check.ts";
import {
  newPipelineCommand,
  noteWarnings,
  openPipeline,
  type PipelineOptions,
} from "../command.ts";
import { exit } from "../exit.ts";
import { quietLog, scrubber } from "../log.ts";
import type { Output } from "../output.ts";

export function check(output: Output): Command {
  return newPipelineCommand(
    "check",
    [
      "Ask queue, state and every connector whether they are reachable, permitted and set up. Changes nothing.",
      "Exit code 0 when nothing is wrong, 1 when something is.",
    ].join("\n"),
    ["check sluice.json", "check sources.json sinks.json --env .env --json"],
  )
    .argument("[files...]", "config files; default sluice.json")
    .action(async (files: readonly string[], options: PipelineOptions) => {
      const pipeline = await openPipeline(files, options);
      noteWarnings(pipeline, output);
      const secrets = secretsOf(pipeline);
      // What a connector logs on the way, its findings say too.
      const log = quietLog(() => {}, secrets);
      const groups = await checkPipeline(pipeline, { log, scrub: scrubber(secrets) });
      const all = groups.flatMap(({ findings }) => findings);
      const isOk = !all.some(({ severity }) => severity === "error");
      const result = { project: pipeline.project, groups };
      output.result("check", result, () => human(groups, output), { isOk });
      process.exitCode = isOk ? exit.done : exit.failed;
    });
}

function human(groups: readonly CheckGroup[], output: Output): string {
  const { paint } = output;
  const blocks = groups.map(({ name, kind, type, findings }) => {
    const about = name === kind ? type : `${kind} ${type}`;
    const heading = `${paint("bold", name)} ${paint("dim", about)}`;
    return [heading, ...findings.map((finding) => block(finding, paint))].join("\n");
  });
  return [...blocks, summary(groups, paint)].join("\n\n");
}

/** What is fine in one line; what is not with its code and the fix, each of its lines as it is. */
function block({ severity, code, message, fix }: Finding, paint: Output["paint"]): string {
  if (severity === "ok") return `  ${paint("green", "✓")} ${message}`;
  const glyph = severity === "error" ? paint("red", "✗") : paint("yellow", "!");
  const lines = [`  ${glyph} ${paint("bold", code)}`, ...indented(message)];
  if (fix !== undefined) {
    const [first = "", ...rest] = indented(fix);
    lines.push(
      `    ${paint("cyan", "→")} ${first.trimStart()}`,
      ...rest.map((line) => `  ${line}`),
    );
  }
  return lines.join("\n");
}

function indented(text: string): readonly string[] {
  return text.split("\n").map((line) => `    ${line}`.trimEnd());
}

function summary(groups: readonly CheckGroup[], paint: Output["paint"]): string {
  const count = (severity: Finding["severity"], word: string) => {
    const number = groups
      .flatMap(({ findings }) => findings)
      .filter((one) => one.severity === severity).length;
    return number === 0 ? [] : [`${number} ${word}${number === 1 ? "" : "s"}`];
  };
  const [errors, warnings] = [count("error", "error"), count("warning", "warning")];
  if (errors.length > 0) return paint("red", [...errors, ...warnings].join(", "));
  if (warnings.length > 0) return paint("yellow", warnings.join(", "));
  return paint("green", "Everything is in place.");
}
