import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const main = fileURLToPath(new URL("../../cli/main.js", import.meta.url));

const services =
  "domain tokenizer chunker vectorizer index questions word-embedding prompt-builder language-model";

/** The configs of `examples/genai` as they are, one a service. */
export const genai: readonly string[] = services.split(" ").map((name) => example("genai", name));
/** The config of the service that joins. */
export const feedback = example("feedback", "feedback");

function example(folder: string, name: string): string {
  return fileURLToPath(new URL(`../../../examples/${folder}/${name}.json`, import.meta.url));
}

export interface ServiceProcess {
  readonly pid: number;
  readonly hasEnded: () => boolean;
  /** The end of what it wrote to stderr. */
  readonly told: () => string;
  readonly end: (signal: "SIGTERM" | "SIGKILL") => Promise<void>;
}

/** Starts a config file in a process of its own, by the command line. */
export function startService(file: string, env: Readonly<Record<string, string>>): ServiceProcess {
  const child = spawn(process.execPath, [main, "start", file, "--json"], {
    env: { PATH: process.env["PATH"], ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  child.stderr.on("data", (data: Buffer) => (stderr = (stderr + data.toString()).slice(-3_000)));
  const ended = once(child, "close");
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  return {
    pid: child.pid ?? 0, // 0 where it could not be started: it has ended then
    hasEnded,
    told: () => stderr,
    end: async (signal) => {
      child.kill(signal);
      await ended;
    },
  };
}

/** What `sluice status --json` says of each process: connectors → pid and start. */
export async function processesNow(
  files: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<ReadonlyMap<string, string>> {
  const { stdout } = await run(process.execPath, [main, "status", ...files, "--json"], {
    env: { PATH: process.env["PATH"], ...env },
    maxBuffer: 2 ** 26,
  });
  const { result } = JSON.parse(stdout) as {
    readonly result: {
      readonly processes: readonly {
        readonly pid: number;
        readonly startedAt: string;
        readonly connectors: readonly { readonly name: string }[];
      }[];
    };
  };
  return new Map(
    result.processes.map(({ pid, startedAt, connectors }) => [
      connectors.map(({ name }) => name).join(", "),
      `${pid} since ${startedAt}`,
    ]),
  );
}

/** A hash of each file's bytes. */
export async function hashesOf(files: readonly string[]): Promise<readonly string[]> {
  return Promise.all(
    files.map(async (file) =>
      createHash("sha256")
        .update(await readFile(file))
        .digest("hex"),
    ),
  );
}
