import { existsSync } from "node:fs";
import { Command } from "commander";
import { catalog } from "../connectors/registry.ts";
import { loadPipeline, type LoadedPipeline } from "../core/config/load.ts";
import { SluiceError } from "../core/errors.ts";
import { findingBlocks, type Output } from "./output.ts";

/** What is read where a command is given no file. */
const defaultFile = "sluice.json";

export interface PipelineOptions {
  readonly queue?: string;
  readonly project?: string;
  readonly env?: string;
}

/** A command with the options that all have; `json` says what `--json` does. Errors are thrown, and told by `main`. */
export function newCommand(
  name: string,
  description: string,
  examples: readonly string[],
  json = "answer with one JSON object on stdout",
): Command {
  return new Command(name)
    .description(description)
    .option("--json", json)
    .option("--no-color", "no colours (NO_COLOR does the same)")
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .addHelpText(
      "after",
      `\nExamples:\n${examples.map((example) => `  $ sluice ${example}`).join("\n")}`,
    );
}

/** A command that works on a pipeline's files. What is said before or after a subcommand of it holds for that. */
export function newPipelineCommand(
  name: string,
  description: string,
  examples: readonly string[],
  json?: string,
): Command {
  return (
    newCommand(name, description, examples, json)
      .option(
        "--queue <place>",
        'queue to use instead of the files\': "redis://…" or "embedded:DIR"',
      )
      .option("--project <name>", "project to use instead of the files'")
      // Not --env-file: node 20 takes that for itself, even behind the script.
      .option("--env <file>", "set environment variables from a file first; set ones stay")
      // Commander gives an option that both know to the outer one, wherever it stands.
      .hook("preSubcommand", (outer, inner) => {
        for (const [option, value] of Object.entries(outer.opts()))
          if (outer.getOptionValueSource(option) === "cli")
            inner.setOptionValueWithSource(option, value, "cli");
      })
  );
}

/** Loads the files a command was given, or `sluice.json` of this folder. */
export async function openPipeline(
  files: readonly string[],
  options: PipelineOptions,
): Promise<LoadedPipeline> {
  const { env, queue, project } = options;
  if (env !== undefined) loadEnvFile(env);
  return await loadPipeline(filesOf(files, queue), {
    env: process.env,
    catalog,
    ...(queue !== undefined && { queue }),
    ...(project !== undefined && { project }),
  });
}

/** Notes what may be wrong with the files, for commands that run or judge them all. */
export function noteWarnings({ warnings }: LoadedPipeline, output: Output): void {
  if (warnings.length > 0) output.note(findingBlocks(warnings, output.paint));
}

function filesOf(files: readonly string[], queue: string | undefined): readonly string[] {
  if (files.length > 0) return files;
  if (existsSync(defaultFile)) return [defaultFile];
  if (queue !== undefined) return [];
  throw new SluiceError(`sluice: no config file was named, and there is no ${defaultFile} here.`, {
    code: "cli.no-file",
    fix: `Name the file, or change to the folder of a ${defaultFile}.`,
  });
}

function loadEnvFile(file: string): void {
  try {
    process.loadEnvFile(file);
  } catch (cause) {
    throw new SluiceError(`sluice: the environment file ${JSON.stringify(file)} cannot be read.`, {
      code: "cli.env-file",
      fix: "Correct the path given to --env.",
      cause,
    });
  }
}
