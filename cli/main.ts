#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { SluiceError } from "../core/errors.ts";
import { commands } from "./commands/index.ts";
import { exitCodeOf } from "./exit.ts";
import { openOutput, type Output } from "./output.ts";
import { isSystemError, toldBy } from "./system-error.ts";

const lingerMs = 1_000;

const args = process.argv.slice(2);
const output = openOutput(args, process.env);
const { version } = JSON.parse(
  readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
) as { readonly version: string };

const program = new Command("sluice")
  .description("Keeps vector databases equal to live data.")
  .version(version, "-v, --version")
  .helpCommand(false)
  .exitOverride()
  .configureOutput({ writeErr: () => {} })
  .addHelpText(
    "after",
    `
Exit codes: 0 done, 1 failed, 2 invalid input, 3 environment (unreachable, missing driver, port in use).

Examples:
  $ sluice demo
  $ sluice init pipeline notes
  $ sluice validate sluice.json
  $ sluice start sluice.json
  $ sluice search NAME "a question"`,
  );
for (const load of wanted()) program.addCommand((await load())(output));

// `sluice schema | head`: whoever read has gone, and there is nobody to tell.
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });

try {
  if (args.length === 0) program.help();
  await program.parseAsync(process.argv);
} catch (error) {
  process.exitCode = exitCodeOf(error);
  if (process.exitCode !== 0) output.failure(commandName(), toldTo(error));
}

leaveSoon();

/** What a connector or its module left open does not keep a command that is done; whoever reads its answer does. */
function leaveSoon(): void {
  setTimeout(() => {
    const isTold = [process.stdout, process.stderr].every((one) => one.writableLength === 0);
    if (isTold) process.exit();
    leaveSoon();
  }, lingerMs).unref();
}

/** The command that was named; all of them, where help or a suggestion may tell of each. */
function wanted(): readonly (() => Promise<(output: Output) => Command>)[] {
  const load = commands[commandName()];
  if (load) return [load];
  return args[0] === "-v" || args[0] === "--version" ? [] : Object.values(commands);
}

function commandName(): string {
  const first = args.find((arg) => !arg.startsWith("-"));
  return first !== undefined && Object.hasOwn(commands, first) ? first : "sluice";
}

/** The operating system's and commander's complaints in our form. */
function toldTo(error: unknown): unknown {
  if (isSystemError(error)) return toldBy(commandName(), error);
  if (!(error instanceof CommanderError)) return error;
  const [first = "", hint] = error.message.replace(/^error: /, "").split("\n");
  const name = commandName();
  const close = /Did you mean (.+)\?/.exec(hint ?? "")?.[1];
  const message = error.code === "commander.help" ? "no command was named" : first;
  return new SluiceError(`sluice: ${message.replace(/\.$/, "")}.`, {
    code: "cli.usage",
    fix: close ? `Write ${close}.` : `See: sluice ${name === "sluice" ? "" : `${name} `}--help`,
  });
}
