import { spawn } from "node:child_process";
import { once } from "node:events";
import { openSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** A real `sluice start` in a process of its own. */
export interface PipelineProcess {
  /** kill -9; resolves when it is gone. */
  readonly kill: () => Promise<void>;
  readonly isRunning: () => boolean;
  /** The end of its log. */
  readonly lastWords: () => string;
}

const cli = fileURLToPath(new URL("../../cli/main.js", import.meta.url));

export function startPipelineProcess(config: string, logFile: string): PipelineProcess {
  const log = openSync(logFile, "a");
  const child = spawn(process.execPath, [cli, "start", config, "--json"], {
    stdio: ["ignore", log, log],
  });
  const ended = once(child, "exit");
  const isRunning = () => child.exitCode === null && child.signalCode === null;
  return {
    isRunning,
    kill: async () => {
      if (isRunning()) child.kill("SIGKILL");
      await ended;
    },
    lastWords: () => readFileSync(logFile, "utf8").slice(-1_000),
  };
}
