import type { Command } from "commander";
import { secretsOf } from "../../core/config/secrets.ts";
import type { Log } from "../../core/connector.ts";
import { startPipeline, type Running } from "../../core/runtime/runner.ts";
import { toAddress, type Address } from "../address.ts";
import {
  newPipelineCommand,
  noteWarnings,
  openPipeline,
  type PipelineOptions,
} from "../command.ts";
import { exit, exitCodeOf } from "../exit.ts";
import { openLiveView, type LiveView } from "../live.ts";
import { openLog } from "../log.ts";
import type { Output } from "../output.ts";
import { printable } from "../printable.ts";

const graceMs = 10_000;

interface StartOptions extends PipelineOptions {
  readonly admin?: Address;
  readonly failFast?: boolean;
}

export function start(output: Output): Command {
  return newPipelineCommand(
    "start",
    [
      "Run a pipeline until it is stopped: a live view on a terminal, else JSON logs on stderr.",
      "The first Ctrl-C (or SIGTERM) stops cleanly within 10 s, a second one at once.",
    ].join("\n"),
    [
      "start sluice.json",
      "start sources.json sinks.json --env .env",
      "start sluice.json --queue redis://localhost:6379 --admin 127.0.0.1:7700",
    ],
    "JSON logs on stderr, on a terminal too; stdout is left to sinks that write there",
  )
    .argument("[files...]", "config files; default sluice.json")
    .option(
      "--admin <host:port>",
      "where the admin API listens; default any free port of 127.0.0.1. With SLUICE_ADMIN_TOKEN set it asks for that",
      toAddress,
    )
    .option(
      "--fail-fast",
      "end when one connector fails in a way that needs a person; without it the others go on",
    )
    .action(async (files: readonly string[], options: StartOptions) => {
      const pipeline = await openPipeline(files, options);
      noteWarnings(pipeline, output);
      const secrets = secretsOf(pipeline);
      const { admin = { host: "127.0.0.1", port: 0 } } = options;
      let view: LiveView | undefined;
      const isShown = output.isLive && process.stderr.isTTY;
      const write = (line: string) =>
        isShown ? showLine(line, view, output) : process.stderr.write(line);
      const log = openLog(write, secrets);
      for (const { code, path, message, fix } of output.isJson ? pipeline.warnings : [])
        log.warn({ code, path, message, fix }, "doubtful config");
      const token = process.env["SLUICE_ADMIN_TOKEN"];
      const running = await startPipeline(pipeline, {
        log,
        admin: { ...admin, ...(token && { token }) },
        secrets: token ? [...secrets, token] : secrets,
      });
      const { project } = pipeline;
      log.info({ project, admin: running.url, files: pipeline.files }, "pipeline started");
      if (output.isLive)
        view = openLiveView(running.status, {
          paint: output.paint,
          footer: `${running.url} · Ctrl-C stops`,
        });
      const code = await untilStopped(running, log, { view, ...options });
      await view?.close();
      // Connections of drivers must not keep a stopped process alive.
      process.exit(code);
    });
}

/** Resolves to the exit code once everything is stopped. */
async function untilStopped(
  running: Running,
  log: Log,
  { view, failFast = false }: { readonly view: LiveView | undefined; readonly failFast?: boolean },
): Promise<number> {
  const signalled = new Promise<number>((resolve) => {
    let isSecond = false;
    const onSignal = (signal: NodeJS.Signals) => {
      if (isSecond) process.exit(signal === "SIGINT" ? exit.interrupted : exit.terminated);
      isSecond = true;
      log.info({ signal, graceMs }, "stopping");
      view?.say("Stopping: waiting for what is being handled. Ctrl-C again exits at once.");
      resolve(exit.done);
    };
    process.on("SIGINT", onSignal);
    process.on("SIGTERM", onSignal);
  });
  const code = await Promise.race([
    signalled,
    running.ended.then(() => exit.done),
    (failFast ? running.failed : running.allFailed).then(({ error }) => exitCodeOf(error)),
  ]);
  const telling = tellWaiting(running, log, view);
  await running.stop(graceMs);
  clearInterval(telling);
  log.info({ code }, "stopped");
  view?.say("Stopped.");
  return code;
}

/** Says once a second whom the stop waits for. */
function tellWaiting(running: Running, log: Log, view?: LiveView): NodeJS.Timeout {
  const tell = async () => {
    const { connectors } = await running.status();
    const names = connectors.filter(({ state }) => state !== "stopped").map(({ name }) => name);
    if (names.length === 0) return;
    log.info({ waitingFor: names }, "stopping");
    view?.say(`Stopping: waiting for ${names.join(", ")}. Ctrl-C again exits at once.`);
  };
  // The queue may be closed already: then nobody is waited for any more.
  return setInterval(() => void tell().catch(() => undefined), 1_000);
}

/** On a terminal only what a person should look at, above the view. */
function showLine(line: string, view: LiveView | undefined, { paint }: Output): void {
  const { level, msg, connector, error } = JSON.parse(line) as {
    readonly level: string;
    readonly msg: string;
    readonly connector?: string;
    readonly error?: { readonly message?: string };
  };
  if (level !== "warn" && level !== "error") return;
  const glyph = level === "warn" ? paint("yellow", "!") : paint("red", "✗");
  const who = connector === undefined ? "" : `${connector}: `;
  const text = printable(`${glyph} ${who}${msg}${error?.message ? ` (${error.message})` : ""}`);
  if (view) view.print(text);
  else process.stderr.write(`${text}\n`);
}
