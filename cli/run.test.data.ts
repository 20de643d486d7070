import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("./main.js", import.meta.url));
const core = new URL("../core/index.js", import.meta.url).href;

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running `sluice`. */
export interface Cli {
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly signal: (name: NodeJS.Signals) => void;
  readonly ended: Promise<Ended>;
}

/** Starts the real command line in a folder. */
export function startCli(
  cwd: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Cli {
  const child = spawn(process.execPath, [main, ...args], {
    cwd,
    env: { PATH: process.env["PATH"], ...env },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (data: Buffer) => (stdout += data.toString()));
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
  const ended = once(child, "close").then(([code]) => ({
    code: code as number | null,
    stdout,
    stderr,
  }));
  return { stdout: () => stdout, stderr: () => stderr, signal: (name) => child.kill(name), ended };
}

export async function runCli(
  cwd: string,
  args: readonly string[],
  env?: Readonly<Record<string, string>>,
): Promise<Ended> {
  return await startCli(cwd, args, env).ended;
}

/** Polls until `condition` holds; throws with `told()` after 15 s. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  told: () => string,
): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`it did not happen: ${told()}`);
    await sleep(150); // what is asked is often a process, which takes a processor while it starts
  }
}

/** A folder with a pipeline of two connectors of its own: `count` events into `out.txt`. */
export function makeFolder(): { readonly dir: string; readonly remove: () => void } {
  const dir = mkdtempSync(join(tmpdir(), "sluice-cli-"));
  writeFileSync(join(dir, "ticks.mjs"), ticks);
  writeFileSync(join(dir, "lines.mjs"), lines);
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

export function pipeline(over: { readonly ticks?: object; readonly lines?: object } = {}): string {
  return JSON.stringify({
    project: "ticking",
    connectors: [
      {
        name: "ticks",
        source: "./ticks.mjs",
        to: "ticks",
        config: { count: 20, token: "${TOKEN:-hush-hush-hush}", ...over.ticks },
      },
      {
        name: "out",
        sink: "./lines.mjs",
        from: "ticks",
        config: { path: "out.txt", ...over.lines },
      },
    ],
  });
}

const ticks = `
import { defineSource, upserted, version, z } from "${core}";
export const ticks = defineSource({
  name: "ticks", version: "1.0.0", summary: "Counts.",
  config: z.strictObject({ count: z.int(), token: z.string().meta({ secret: true }) }),
  checkpoint: z.strictObject({ n: z.int() }),
  emits: ["dev.sluice.record."],
  capabilities: { deletes: false, snapshotOnRequest: false, replays: true, forgets: false },
  async *read({ config, checkpoint, signal, log, progress }) {
    log.warn({ url: "http://x?token=" + config.token }, "using " + config.token);
    for (let n = (checkpoint?.n ?? 0) + 1; n <= config.count; n++) {
      progress({ phase: "snapshot", done: n, total: config.count });
      const change = { source: "/ticks", subject: String(n), key: n, op: "create", after: { n }, meta: {} };
      const time = new Date().toISOString();
      const events = [upserted({ ...change, time, version: version({ epoch: 1, position: BigInt(n), rank: 1, tail: 0 }) })];
      yield { events, checkpoint: { n } };
    }
    progress({ phase: "streaming" });
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
  },
});`;

const lines = `
import { appendFileSync } from "node:fs";
import { ConfigError, defineSink, PoisonError, z } from "${core}";
export const lines = defineSink({
  name: "lines", version: "1.0.0", summary: "Writes lines.",
  config: z.strictObject({
    path: z.string().meta({ path: true }),
    stuck: z.boolean().default(false),
    wrong: z.boolean().default(false),
  }),
  accepts: [""],
  open: async ({ config }) => {
    if (config.wrong) throw new ConfigError("lines: the disk is not to be written.", { code: "lines.wrong", fix: "Choose another." });
    return {
      write: async (events) => {
        appendFileSync(config.path, events.map(({ id }) => id + "\\n").join(""));
        if (config.stuck) await new Promise(() => setInterval(() => {}, 1_000));
      },
      close: async () => {},
    };
  },
  openReader: async () => ({
    search: async ({ text, topK, filter }) => {
      if (filter?.bad) throw new PoisonError("lines: no such filter.", { code: "lines.filter", fix: "Replay the dead letter." });
      if (text === "hopeless") throw new PoisonError("lines: too long.", { code: "lines.long" });
      return {
      matches: [{ id: "1#a", score: 0.5, metadata: { text: text + " " + topK + " " + JSON.stringify(filter), _subject: "one" } }],
      lsn: 5n,
      };
    },
    model: async () => undefined,
    close: async () => {},
  }),
});`;
