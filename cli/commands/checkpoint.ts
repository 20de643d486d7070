import { InvalidArgumentError, type Command } from "commander";
import type { SourceConnector } from "../../core/config/pipeline.ts";
import type { Json } from "../../core/event.ts";
import {
  readCheckpoint,
  writeCheckpoint,
  type StoredCheckpoint,
} from "../../core/runtime/checkpoint.ts";
import { newPipelineCommand, type PipelineOptions } from "../command.ts";
import { confirm } from "../confirm.ts";
import { connectorOf } from "../connector-of.ts";
import type { Output } from "../output.ts";
import { withBackend } from "../with-backend.ts";

interface ChangeOptions extends PipelineOptions {
  readonly yes?: boolean;
}

export function checkpoint(output: Output): Command {
  const command = newPipelineCommand(
    "checkpoint",
    "Show or change where a source goes on reading.",
    [
      "checkpoint show articles sluice.json",
      `checkpoint set articles '{"lsn":"0/16B3748"}' sluice.json`,
      "checkpoint reset articles sluice.json",
    ],
  );
  return command.addCommand(show(output)).addCommand(set(output)).addCommand(reset(output));
}

function show(output: Output): Command {
  return newPipelineCommand("show", "Show the stored checkpoint of a source.", [
    "checkpoint show articles sluice.json --json",
  ])
    .argument("<source>", "its name in the config files")
    .argument("[files...]", "config files; default sluice.json")
    .action(async (name: string, files: readonly string[], options: PipelineOptions) => {
      await withBackend(files, options, output, async ({ pipeline, backend }) => {
        connectorOf(pipeline, name, "source");
        const stored = await readCheckpoint(name, backend);
        output.result("checkpoint", { source: name, checkpoint: stored?.value ?? null }, () =>
          shown(name, stored),
        );
      });
    });
}

function set(output: Output): Command {
  return newPipelineCommand(
    "set",
    [
      "Have a source go on from another checkpoint. It must not be running: see `sluice stop`.",
      "What lies between is skipped, or read again; what was skipped stays as it is in the index.",
    ].join("\n"),
    [`checkpoint set articles '{"lsn":"0/16B3748"}' sluice.json`],
  )
    .argument("<source>", "its name in the config files")
    .argument("<json>", "the checkpoint, as `checkpoint show` writes it", toJson)
    .argument("[files...]", "config files; default sluice.json")
    .option("--yes", "do not ask")
    .action(
      async (name: string, value: Json, files: readonly string[], options: ChangeOptions) =>
        await change(name, value, files, options, output),
    );
}

function reset(output: Output): Command {
  return newPipelineCommand(
    "reset",
    [
      "Have a source begin anew: the next start reads everything, as the first one did.",
      "It must not be running: see `sluice stop`. For a running one `sluice snapshot` does the same.",
    ].join("\n"),
    ["checkpoint reset articles sluice.json --yes"],
  )
    .argument("<source>", "its name in the config files")
    .argument("[files...]", "config files; default sluice.json")
    .option("--yes", "do not ask")
    .action(
      async (name: string, files: readonly string[], options: ChangeOptions) =>
        await change(name, undefined, files, options, output),
    );
}

async function change(
  name: string,
  value: Json | undefined,
  files: readonly string[],
  options: ChangeOptions,
  output: Output,
): Promise<void> {
  await withBackend(files, options, output, async ({ pipeline, backend, log }) => {
    const source: SourceConnector = connectorOf(pipeline, name, "source");
    const before = await readCheckpoint(name, backend);
    const question =
      value === undefined
        ? `This forgets where ${name} is; it begins anew at its next start.`
        : `This has ${name} go on from ${JSON.stringify(value)}.`;
    await confirm(`${shown(name, before)}\n${question}`, options, output);
    await writeCheckpoint(source, value, backend, log);
    const result = { source: name, before: before?.value ?? null, checkpoint: value ?? null };
    output.result("checkpoint", result, () => {
      const now = value === undefined ? "begins anew" : `goes on from ${JSON.stringify(value)}`;
      return `${output.paint("green", "✓")} ${name} ${now} at its next start`;
    });
  });
}

function shown(name: string, stored: StoredCheckpoint | undefined): string {
  return stored ? JSON.stringify(stored.value) : `${name} has no checkpoint: it begins anew.`;
}

function toJson(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    throw new InvalidArgumentError("Write JSON, as `checkpoint show` does.");
  }
}
