import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PoisonError, RetryableError, SluiceError } from "../core/errors.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const main = join(root, "dist/cli/main.js");

/** Packages of strangers. Each has a Sluice and a zod of its own, as npm may lay them out. */
const packages: Readonly<Record<string, string>> = {
  "sluice-source-words": `
    import { defineSource, upserted, z } from "sluice";
    export const words = defineSource({
      name: "words", version: "1.2.0", summary: "Words.",
      config: z.strictObject({
        words: z.array(z.string()).describe("What to emit."),
        token: z.string().meta({ secret: true }).describe("A token."),
        atOnce: z.int().min(1).default(5).describe("How many at once."),
      }),
      checkpoint: z.strictObject({}),
      emits: ["dev.sluice.record."],
      capabilities: { deletes: false, snapshotOnRequest: false, replays: true, forgets: false },
      async *read({ config, checkpoint, nextVersion }) {
        if (checkpoint) return;
        yield { checkpoint: {}, events: config.words.map((word) => upserted({
          source: "/words", key: word, subject: word, version: nextVersion(),
          time: new Date().toISOString(), op: "create", after: { text: word }, meta: {} })) };
      },
    });`,
  "@strange/sink": `
    import { appendFile } from "node:fs/promises";
    import { defineSink, PartialError, PoisonError, z } from "sluice";
    export const lines = defineSink({
      name: "lines", version: "1.0.0", summary: "Lines.",
      config: z.strictObject({ path: z.string().meta({ path: true }).describe("File.") }),
      accepts: ["dev.sluice.record."],
      open: async ({ config }) => ({
        write: async (events) => {
          const failures = new Map();
          for (const [at, { subject }] of events.entries())
            if (subject === "bad") failures.set(at, new PoisonError("lines: bad.", { code: "lines.bad" }));
            else await appendFile(config.path, subject + "\\n");
          if (failures.size > 0) throw new PartialError("lines: some.", { code: "lines.some", failures });
        },
        close: async () => {},
      }),
    });`,
  "sluice-embedder-ones": `
    import { defineEmbedder, z } from "sluice";
    export const ones = defineEmbedder({
      name: "ones", version: "1.0.0", summary: "Ones.",
      config: z.strictObject({ size: z.int().min(1).describe("Length of each vector.") }),
      open: async () => { throw new Error("not opened here"); },
    });`,
};

let dir = "";
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "sluice-third-"));
  for (const [name, code] of Object.entries(packages)) await install(name, code);
  const connectors = [
    {
      name: "in",
      source: "sluice-source-words",
      to: "words",
      config: { words: ["one", "bad", "two"], token: "hush-hush" },
    },
    { name: "out", sink: "@strange/sink", from: "words", config: { path: "./out.txt" } },
  ];
  await writeFile(join(dir, "sluice.json"), JSON.stringify({ connectors }));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** Installs a package with a Sluice of its own. `api` is the version of the connector API that one has. */
async function install(name: string, code: string, api?: string): Promise<void> {
  const home = join(dir, "node_modules", name);
  const copy = join(home, "node_modules/sluice");
  await mkdir(copy, { recursive: true });
  const manifest = { name, version: "1.0.0", type: "module", exports: "./index.js" };
  await writeFile(join(home, "package.json"), JSON.stringify(manifest));
  await writeFile(join(home, "index.js"), code);
  await cp(join(root, "package.json"), join(copy, "package.json"));
  await cp(join(root, "dist/core"), join(copy, "dist/core"), {
    recursive: true,
    filter: (path) => !/\.(map|d\.ts)$|\.test\./.test(path),
  });
  await mkdir(join(copy, "node_modules"));
  for (const need of ["cloudevents", "bullmq", "ioredis", "libsql", "pino"])
    await symlink(join(root, "node_modules", need), join(copy, "node_modules", need));
  await cp(join(root, "node_modules/zod"), join(copy, "node_modules/zod"), { recursive: true });
  if (api === undefined) return;
  const stamp = join(copy, "dist/core/connector-api.js");
  const text = await readFile(stamp, "utf8");
  await writeFile(stamp, text.replace("connectorApi = 1", `connectorApi = ${api}`));
}

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function sluice(...args: readonly string[]): Promise<Ran> {
  const run = promisify(execFile);
  try {
    return { code: 0, ...(await run(process.execPath, [main, ...args], { cwd: dir })) };
  } catch (error) {
    return error as Ran;
  }
}

async function result(...args: readonly string[]): Promise<unknown> {
  const { stdout } = await sluice(...args, "--json");
  return (JSON.parse(stdout) as { readonly result: unknown }).result;
}

describe("a package with a Sluice of its own", () => {
  it("is validated by its schema, and its secrets stay secret", async () => {
    expect(await result("validate")).toMatchObject({
      connectors: [
        { type: "words", config: { token: "***", atOnce: 5 } },
        { type: "lines", config: { path: join(dir, "out.txt") } },
      ],
    });
    const text = await readFile(join(dir, "sluice.json"), "utf8");
    await writeFile(join(dir, "bad.json"), text.replace('"token"', '"tokn"'));
    const { code, stderr } = await sluice("validate", "bad.json");
    expect(code).toBe(2);
    expect(stderr).toContain('Rename it to "token".');
  });

  it("shows its options, an embedder too", async () => {
    const { stdout } = await sluice("connectors", "sluice-source-words");
    expect(stdout).toMatch(/^words source 1\.2\.0\nWords\./);
    expect(stdout).toMatch(
      /^ {2}token {2}string {2}required\n {6}A token\. Secret: never shown\.$/m,
    );
    expect(await result("connectors", "./node_modules/@strange/sink/index.js")).toMatchObject([
      { kind: "sink", name: "lines", options: [{ name: "path", path: true }] },
    ]);
    expect(await result("connectors", "sluice-embedder-ones")).toMatchObject([
      { kind: "embedder", options: [{ name: "size", required: true }] },
    ]);
    const missing = await sluice("connectors", "sluice-source-wrds");
    expect(missing).toMatchObject({ code: 2 });
    expect(missing.stderr).toContain('no connector "sluice-source-wrds", built in or installed');
  });

  it("is completed by editors, where its config says so", async () => {
    const embedding = { use: "sluice-embedder-ones", config: { size: 3 } };
    const config = { index: "i", local: "x", embedding };
    const connector = { name: "search", sink: "pinecone", from: "words", config };
    await writeFile(join(dir, "search.json"), JSON.stringify(connector));
    const schema = await result("schema", "--config", "sluice.json", "search.json");
    expect(schema).toMatchObject({
      $defs: {
        "source.sluice-source-words": { required: ["words", "token"], additionalProperties: false },
        "sink.@strange/sink": { properties: { path: { description: "File." } } },
        "embedder.sluice-embedder-ones": { required: ["size"] },
      },
    });
    const text = JSON.stringify(schema);
    expect(text).toContain('"config":{"$ref":"#/$defs/sink.%40strange~1sink"}');
    expect(text).toContain(
      '{"if":{"properties":{"use":{"const":"sluice-embedder-ones"}},"required":["use"]},"then":{"properties":{"config":{"$ref":"#/$defs/embedder.sluice-embedder-ones"}},"required":["config"]}}',
    );
    expect(await sluice("schema", "--config", "none.json")).toMatchObject({ code: 2 });
  });

  it("runs, and its errors mean what they say", { timeout: 60_000 }, async () => {
    const running = spawn(process.execPath, [main, "start"], { cwd: dir, stdio: "ignore" });
    try {
      const deadline = performance.now() + 30_000;
      const letters = async () =>
        JSON.stringify(await result("dead-letters", "list", "out").catch(() => []));
      while (!(await letters()).includes("lines.bad")) {
        expect(performance.now()).toBeLessThan(deadline);
        await sleep(200);
      }
      // Called by the class of its error, not after five tries of an unexplained one.
      expect(await letters()).toMatch(/"attempts":1\b/);
      expect((await readFile(join(dir, "out.txt"), "utf8")).split("\n").toSorted()).toEqual([
        "",
        "one",
        "two",
      ]);
    } finally {
      running.kill("SIGINT");
      if (running.exitCode === null) await once(running, "exit");
    }
  });
});

describe("what cannot run here is refused", () => {
  const config = (source: string) =>
    writeFile(join(dir, "one.json"), JSON.stringify({ name: "in", source, to: "t" }));

  it.each([
    ["2", "version 2 of the connector API; this Sluice has version 1", "npm install sluice@latest"],
    ["0", "version 0 of the connector API", "npm install sluice-source-other@latest"],
  ])("for API %s", async (api, message, fix) => {
    await install("sluice-source-other", packages["sluice-source-words"] ?? "", api);
    await config("sluice-source-other");
    for (const args of [
      ["validate", "one.json"],
      ["connectors", "sluice-source-other"],
    ]) {
      const { code, stderr } = await sluice(...args);
      expect(code).toBe(2);
      expect(stderr).toContain("config.connector-api");
      expect(stderr).toContain(message);
      expect(stderr).toContain(fix);
    }
    await rm(join(dir, "node_modules/sluice-source-other"), { recursive: true });
  });

  it.each([
    ['{ kind: "source", name: "x", config: {} }', "no define function made", "defineSource()"],
    [
      '{ kind: "source", name: "x", apiVersion: 1, config: { parse() {} } }',
      "no schema of zod 4",
      'import { z } from "sluice"',
    ],
    [
      '{ kind: "source", name: "y", apiVersion: 1, config: { _zod: {}, parse() {} } }',
      "no schema of zod 4",
      'import { z } from "sluice"',
    ],
  ])("for being %s", async (code, message, fix) => {
    await writeFile(join(dir, `${code.length}.mjs`), `export const x = ${code};`);
    await config(`./${code.length}.mjs`);
    const { stderr } = await sluice("validate", "one.json");
    expect(stderr).toContain("config.broken-connector");
    expect(stderr).toContain(message);
    expect(stderr).toContain(fix);
  });

  it.each([
    ["process.exit(0);", "it calls process.exit(0)", "Take that call out of"],
    [
      "setTimeout(() => process.exit(5), 20); await new Promise((wake) => setTimeout(wake, 300));",
      "it calls process.exit(5)",
      "Take that call out of",
    ],
    [
      "async function main() { process.exit(0); } main().catch(() => process.exit(1)); await 0;",
      "it calls process.exit(0)",
      "Take that call out of",
    ],
    ["await new Promise(() => {});", "it waits for what never comes", "Take the await"],
  ])("for what it does while it loads: %s", async (code, message, fix) => {
    const file = `./${code.length}.mjs`;
    await writeFile(join(dir, file), code);
    await config(file);
    for (const args of [
      ["validate", "one.json"],
      ["connectors", file],
    ]) {
      const { code, stderr } = await sluice(...args);
      expect(code).toBe(2);
      expect(stderr).toContain("config.broken-connector");
      expect(stderr).toContain(`"${file}" cannot be loaded: ${message}`);
      expect(stderr).toContain(fix);
    }
  });
});

describe("a module that throws in a timer while it loads", () => {
  it("ends the command with 1, and what it threw", async () => {
    const code = 'setTimeout(() => { throw new Error("not today"); }, 20);';
    await writeFile(
      join(dir, "late.mjs"),
      `${code} await new Promise((wake) => setTimeout(wake, 300));`,
    );
    await writeFile(join(dir, "late.json"), '{ "name": "in", "source": "./late.mjs", "to": "t" }');
    const { code: status, stderr } = await sluice("validate", "late.json");
    expect(status).toBe(1);
    expect(stderr).toContain("not today");
  });
});

describe("a module that leaves a timer", () => {
  it("keeps no command that is done", async () => {
    const words = packages["sluice-source-words"] ?? "";
    await install("sluice-source-ticking", `setInterval(() => {}, 1_000);\n${words}`);
    const source = { name: "in", source: "sluice-source-ticking", to: "t" };
    const written = { ...source, config: { words: ["a"], token: "t" } };
    await writeFile(join(dir, "ticking.json"), JSON.stringify(written));
    for (const args of [
      ["validate", "ticking.json"],
      ["connectors", "sluice-source-ticking"],
    ])
      expect((await sluice(...args)).code).toBe(0);
    await rm(join(dir, "node_modules/sluice-source-ticking"), { recursive: true });
  });
});

describe("what a connector throws of its own", () => {
  let url = "";
  beforeAll(async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    // Nobody listens there any more.
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    server.close();
    await once(server, "close");
    const feed = (packages["sluice-source-words"] ?? "").replace(
      "if (checkpoint) return;",
      `await fetch("${url}");`,
    );
    await install("sluice-source-feed", feed);
    const store = `
      import { defineVectorStore, z } from "sluice";
      export const store = defineVectorStore({ name: "away", version: "1.0.0", summary: "Away.", config: z.strictObject({}),
        open: async () => { throw new TypeError("no such thing"); } });`;
    await install("sluice-store-away", store);
    const embedding = { provider: "hash", dimensions: 8 };
    const connectors = [
      {
        name: "in",
        source: "sluice-source-feed",
        to: "t",
        config: { words: ["one"], token: "hush-hush" },
      },
      {
        name: "out",
        sink: "vectors",
        from: "t",
        transforms: [{ use: "parse" }, { use: "chunk" }],
        config: { store: { use: "sluice-store-away", config: {} }, embedding },
      },
    ];
    await writeFile(join(dir, "feed.json"), JSON.stringify({ connectors }));
  });

  it.each([
    [
      ["plan", "feed.json"],
      3,
      'source "in" (words) failed with an error of its own.',
      /^ +\(fetch failed: .*ECONNREFUSED.*\)$/m,
    ],
    [
      ["search", "out", "one", "--config", "feed.json"],
      1,
      'sink "out" (vectors) failed with an error of its own.',
      /^ +\(no such thing\)$/m,
    ],
    [
      ["verify", "out", "feed.json"],
      1,
      'sink "out" (vectors) failed with an error of its own.',
      /^ +\(no such thing\)$/m,
    ],
  ] as const)("is told by %s with its name, and no stack", async (args, code, who, why) => {
    const said = await sluice(...args);
    expect(said.stderr).toContain("connector.failed");
    expect(said.stderr).toContain(who);
    expect(said.stderr).toMatch(why);
    expect(said.stderr).not.toMatch(/^ +at /m);
    expect(said.code).toBe(code);
    const { stdout } = await sluice(...args, "--json");
    const { error } = JSON.parse(stdout) as { readonly error: Record<string, string> };
    expect(error).toMatchObject({ code: "connector.failed", message: who });
    expect(`(${error["cause"]})`).toMatch(new RegExp(why.source.replace("^ +", "^")));
  });
});

it("an error of another copy is told by its class, and by no other", async () => {
  const copy = join(
    dir,
    "node_modules/sluice-source-words/node_modules/sluice/dist/core/errors.js",
  );
  const other = (await import(pathToFileURL(copy).href)) as typeof import("../core/errors.ts");
  const error = new other.RetryableError("x: slow.", { code: "x.slow", reason: "throttled" });
  expect(Object.getPrototypeOf(error)).not.toBe(RetryableError.prototype);
  expect(error instanceof RetryableError).toBe(true);
  expect(error instanceof SluiceError).toBe(true);
  expect(error instanceof PoisonError).toBe(false);
  expect({ name: "PoisonError" } instanceof PoisonError).toBe(false);
  expect(Object.assign(new Error("x"), { name: "PoisonError" }) instanceof PoisonError).toBe(false);
});
