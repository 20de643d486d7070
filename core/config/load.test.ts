import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ConfigError } from "../errors.ts";
import { catalog } from "./catalog.test.data.ts";
import { loadPipeline, type LoadOptions } from "./load.ts";

let dir = "";
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), "sluice-config-"))));
afterEach(() => rmSync(dir, { recursive: true }));

function write(name: string, content: unknown): string {
  const path = join(dir, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

const load = (files: readonly string[], options: Partial<LoadOptions> = {}) =>
  loadPipeline(files, { env: {}, catalog, ...options });

async function refusals(files: readonly string[], options: Partial<LoadOptions> = {}) {
  const error: unknown = await load(files, options).catch((thrown: unknown) => thrown);
  if (!(error instanceof ConfigError)) throw new Error("it was accepted", { cause: error });
  return error.findings.map(({ code, path, message }) => [code, path, message]);
}

const source = { name: "notes", source: "folder", to: "pages", config: { path: "./x" } };
const sink = { name: "out", sink: "print", from: "pages" };

describe("a pipeline", () => {
  it("says what a source does when its position is lost, or its queue forgets", async () => {
    const policies = async (over: object) => {
      const file = write("a.json", { connectors: [{ ...source, ...over }, sink] });
      const [{ onGap, durability } = {}] = (await load([file])).connectors.filter(
        (one) => one.kind === "source",
      );
      return { onGap, durability };
    };
    expect(await policies({})).toEqual({ onGap: "fail", durability: undefined });
    const told = { onGap: "resnapshot", durability: "accept-loss" };
    expect(await policies(told)).toEqual(told);
    await expect(policies({ onGap: "skip" })).rejects.toMatchObject({
      findings: [{ code: "config.wrong-value", path: expect.stringContaining("onGap") }],
    });
  });

  it("comes out expanded, parsed, with paths made absolute and defaults filled in", async () => {
    const file = write("a.json", {
      $schema: "./schema.json",
      project: "shop",
      connectors: [
        { ...source, config: { path: "./${SUB}/x", password: "${file:pass.txt}" } },
        { ...sink, sink: "index", transforms: [{ use: "parse" }], config: { index: "$${i}" } },
      ],
    });
    write("pass.txt", "long enough\n");
    const { project, queue, state, topics, connectors, warnings } = await load([file], {
      env: { SUB: "docs" },
    });
    expect({ project, queue, state, warnings }).toEqual({
      project: "shop",
      queue: { kind: "embedded", dir: join(dir, ".sluice") },
      state: { kind: "embedded", dir: join(dir, ".sluice") },
      warnings: [],
    });
    expect(topics).toEqual({ pages: { partitions: 4, optional: false, maxWaiting: 100 } });
    expect(connectors).toMatchObject([
      {
        kind: "source",
        config: {
          path: join(dir, "docs/x"),
          everyMs: 1_000,
          mode: "watch",
          password: "long enough",
        },
      },
      {
        kind: "sink",
        from: ["pages"],
        retry: { attempts: 5, maxDelayMs: 30_000 },
        transforms: [{ use: "parse", config: { encoding: "utf8" } }],
        config: { index: "${i}", embedding: { provider: "local" } },
      },
    ]);
  });

  it("may be spread over files, one of them a connector alone", async () => {
    const one = write("one.json", {
      project: "shop",
      queue: "embedded:data",
      topics: { pages: { partitions: 2 } },
      connectors: [source],
    });
    const two = write("sub/two.json", sink);
    const three = write("three.json", {
      project: "shop",
      queue: "embedded:./data",
      topics: { pages: { maxWaiting: 7 } },
      connectors: [{ ...sink, name: "more" }],
    });
    const { queue, topics, connectors } = await load([one, two, three]);
    expect(queue).toEqual({ kind: "embedded", dir: join(dir, "data") });
    expect(topics).toEqual({ pages: { partitions: 2, optional: false, maxWaiting: 7 } });
    expect(connectors.map(({ name }) => name)).toEqual(["notes", "out", "more"]);
  });

  it("is refused when its files disagree or share a name", async () => {
    const one = write("one.json", {
      project: "a",
      topics: { pages: { partitions: 2 } },
      connectors: [source],
    });
    const two = write("two.json", {
      project: "b",
      topics: { pages: { partitions: 3 } },
      connectors: [source],
    });
    expect(await refusals([one, two])).toEqual([
      [
        "config.duplicate-name",
        `${two}: connectors[0].name`,
        'notes: another connector is named "notes" too.',
      ],
      [
        "config.disagreement",
        `${two}: project`,
        'config: project is "b" here and "a" in an earlier file.',
      ],
      [
        "config.disagreement",
        `${two}: topics.pages.partitions`,
        "config: partitions is 3 here and 2 in an earlier file.",
      ],
    ]);
  });

  it("shows what disagrees as it is written: a variable may hold a secret", async () => {
    const one = write("one.json", { queue: "redis://me:${PASSWORD}@here", connectors: [source] });
    const two = write("two.json", { queue: "redis://there", connectors: [sink] });
    const said = await refusals([one, two], { env: { PASSWORD: "hunter2-secret" } });
    expect(said).toEqual([
      [
        "config.disagreement",
        `${two}: queue`,
        'config: queue is "redis://there" here and "redis://***@here" in an earlier file.',
      ],
    ]);
  });

  it("names the queue by option, then file, then environment, and puts state beside it", async () => {
    const named = write("named.json", { queue: "redis://file:1", connectors: [source] });
    const silent = write("silent.json", { connectors: [source] });
    const env = { SLUICE_QUEUE: "redis://env:1" };
    const url = (at: string) => ({ kind: "redis", url: `redis://${at}:1` });
    expect(await load([named], { env, queue: "redis://option:1" })).toMatchObject({
      queue: url("option"),
      state: url("option"),
    });
    expect(await load([named], { env })).toMatchObject({ queue: url("file") });
    expect(await load([silent], { env })).toMatchObject({ queue: url("env"), state: url("env") });
    expect(await load([], { env, project: "p" })).toMatchObject({
      queue: url("env"),
      project: "p",
    });
    const apart = write("apart.json", { state: "embedded", connectors: [source] });
    expect(await load([apart], { env })).toMatchObject({
      queue: url("env"),
      state: { kind: "embedded", dir: join(dir, ".sluice") },
    });
    expect(await refusals([silent], { queue: "kafka" })).toMatchObject([
      ["config.wrong-value", "--queue", expect.stringContaining('--queue is "kafka"; it must be')],
    ]);
  });

  it("warns of a topic that nobody here produces", async () => {
    const file = write("a.json", sink);
    expect((await load([file])).warnings).toMatchObject([
      { severity: "warning", code: "config.no-producer", path: `${file}: from` },
    ]);
  });

  it("warns of a topic that nobody here reads, unless it is optional", async () => {
    const connectors = [source, { ...source, name: "two", to: "spare" }];
    const file = write("a.json", { topics: { spare: { optional: true } }, connectors });
    expect((await load([file])).warnings).toEqual([
      {
        severity: "warning",
        code: "config.no-consumer",
        path: `${file}: connectors[0].to`,
        message:
          'notes: no connector of these files reads "pages": until one subscribes, it is held back.',
        fix: 'Start its consumer elsewhere, correct the topic\'s name, or declare it: "topics": { "pages": { "optional": true } }.',
      },
    ]);
  });

  it("takes a number or a truth from a variable that is the whole value, where the schema wants one", async () => {
    const file = write("a.json", {
      topics: { pages: { partitions: "${N}", optional: "${YES}" } },
      connectors: [
        { ...source, config: { path: "${N}", everyMs: "${EVERY:-900}", password: "${DIGITS}" } },
        { ...sink, retry: { attempts: "${N}" } },
      ],
    });
    const env = { N: "3", YES: "true", DIGITS: "12345678" };
    const { topics, connectors } = await load([file], { env });
    expect(topics).toMatchObject({ pages: { partitions: 3, optional: true } });
    expect(connectors).toMatchObject([
      { config: { path: join(dir, "3"), everyMs: 900, password: "12345678" } },
      { retry: { attempts: 3 } },
    ]);
  });

  it("gives a sink's embedding to the stages that have one and do not name it", async () => {
    const embedding = { provider: "remote", model: "m", apiKey: "${KEY}" };
    const file = write("a.json", {
      connectors: [
        source,
        {
          ...sink,
          sink: "index",
          transforms: [{ use: "parse" }, { use: "split", config: { maxTokens: 50 } }],
          config: { index: "i", embedding },
        },
      ],
    });
    const { connectors } = await load([file], { env: { KEY: "k" } });
    const [, out] = connectors;
    expect(out?.kind === "sink" && out.transforms.map(({ config }) => config)).toEqual([
      { encoding: "utf8" },
      { maxTokens: 50, embedding: { ...embedding, apiKey: "k" } },
    ]);
  });

  it("follows types through transforms between topics", async () => {
    const middle = { name: "parsed", transform: "parse", from: "pages", to: "docs" };
    const good = { ...sink, sink: "index", from: "docs", config: { index: "i" } };
    const loaded = await load([write("a.json", { connectors: [source, middle, good] })]);
    expect(loaded.connectors[1]).toMatchObject({ kind: "transform", to: "docs" });
    const bad = { ...middle, name: "again", from: "docs", to: "more" };
    const file = write("b.json", { connectors: [source, middle, bad] });
    expect(await refusals([file])).toEqual([
      [
        "config.type-mismatch",
        `${file}: connectors[2].from`,
        'again: topic "docs" carries dev.sluice.document.*, but parse takes dev.sluice.record.*.',
      ],
    ]);
  });
});

describe("the hash of a stage's config", () => {
  const hashOf = async (config: object, env = {}) => {
    const stages = [{ use: "parse" }, { use: "split", config }];
    const file = write("a.json", { connectors: [source, { ...sink, transforms: stages }] });
    const { connectors } = await load([file], { env });
    const [, out] = connectors;
    return out?.kind === "sink" ? out.transforms[1]?.configHash : undefined;
  };
  const remote = (apiKey: string) => ({ embedding: { provider: "remote", model: "m", apiKey } });

  it("is 8 hex and depends on the parsed config, not on how it was written", async () => {
    const plain = await hashOf({});
    expect(plain).toMatch(/^[0-9a-f]{8}$/);
    expect(await hashOf({ embedding: { provider: "local" }, maxTokens: 200 })).toBe(plain);
    expect(await hashOf({ maxTokens: 201 })).not.toBe(plain);
  });

  it("does not change when a key is rotated", async () => {
    expect(await hashOf(remote("one"))).toBe(await hashOf(remote("two")));
  });
});

describe("a file that is no JSON says where", () => {
  const cases: [string, number, number][] = [
    ['{\n  "connectors": [,]\n}', 2, 18],
    ['{\n  "a": 1\n  "b": 2\n}', 3, 3],
    ['{ "a": "x\ny" }', 1, 10],
    ["{ // comment\n}", 1, 3],
    ['{ "a": 1 } x', 1, 12],
    ['{ "a": [1, 2', 1, 13],
    ["", 1, 1],
    ['{ "a": tru }', 1, 8],
    ['{ "a": "\\x" }', 1, 9],
  ];
  for (const [text, line, column] of cases)
    it(JSON.stringify(text), async () => {
      const file = write("a.json", text);
      expect(await refusals([file])).toEqual([
        ["config.bad-json", file, `config: not JSON at line ${line}, column ${column}.`],
      ]);
    });

  it("unless a byte order mark is all that is odd", async () => {
    const file = write("a.json", `\uFEFF${JSON.stringify({ connectors: [source] })}`);
    expect((await load([file])).connectors).toHaveLength(1);
  });

  it("a file that is not there", async () => {
    const file = join(dir, "no.json");
    expect(await refusals([file])).toEqual([
      [
        "config.unreadable-file",
        file,
        `config: the file ${JSON.stringify(file)} cannot be read (ENOENT).`,
      ],
    ]);
  });
});

describe("a connector from elsewhere", () => {
  const core = new URL("../index.js", import.meta.url).href;
  const module = (body: string) =>
    `import { defineSource, defineSink, z } from "${core}";\n${body}`;
  const rss = (name: string) =>
    `export const ${name} = defineSource({ name: "rss", version: "1.0.0", summary: "", config: z.strictObject({ url: z.string() }), checkpoint: z.any(), emits: [""], capabilities: {}, async *read() {} });`;
  const use = (type: string) =>
    write("a.json", { ...source, source: type, config: { url: "http://x" } });

  it("is a path relative to the file", async () => {
    write("lib/rss.js", module(rss("rss")));
    write("lib/package.json", { type: "module" });
    const { connectors } = await load([use("./lib/rss.js")]);
    expect(connectors).toMatchObject([{ source: { name: "rss" }, config: { url: "http://x" } }]);
  });

  it("is a package installed where the file is, however it states its entry", async () => {
    const packages: [string, object, string][] = [
      ["rss-main", { main: "main.js" }, "main.js"],
      ["@me/rss", { exports: "./a.js" }, "a.js"],
      ["rss-exports", { exports: { ".": { types: "./x.d.ts", import: "./b.js" } } }, "b.js"],
      ["rss-bare", {}, "index.js"],
    ];
    for (const [name, manifest, entry] of packages) {
      write(`node_modules/${name}/package.json`, { name, type: "module", ...manifest });
      write(`node_modules/${name}/${entry}`, module(rss("rss")));
      expect((await load([use(name)])).connectors).toMatchObject([{ source: { name: "rss" } }]);
    }
  });

  it("must export exactly one connector of the kind, and load", async () => {
    write("none.mjs", "export const a = 1;");
    write("two.mjs", module(rss("a") + rss("b")));
    write("broken.mjs", "throw new Error('not today');");
    const messages = [];
    for (const type of ["./none.mjs", "./two.mjs", "./broken.mjs"])
      messages.push(...(await refusals([use(type)])).map(([code, , message]) => [code, message]));
    expect(messages).toEqual([
      ["config.broken-connector", 'notes: "./none.mjs" exports no source.'],
      ["config.broken-connector", 'notes: "./two.mjs" exports 2 sources; a module holds one.'],
      ["config.broken-connector", 'notes: "./broken.mjs" cannot be loaded: not today'],
    ]);
  });
});
