import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { z } from "zod";
import { defineSink, defineTransform } from "../connector.ts";
import { ConfigError } from "../errors.ts";
import type { Catalog } from "./catalog.ts";
import { loadPipeline } from "./load.ts";
import { redact } from "./marks.ts";
import { secretsOf } from "./secrets.ts";

let dir = "";
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), "sluice-extension-"))));
afterEach(() => rmSync(dir, { recursive: true }));

const named = z.strictObject({
  use: z.string(),
  config: z.record(z.string(), z.unknown()).default({}),
});
const embedding = named.meta({ embedder: true });
const store = named.meta({ store: true });
const index = defineSink({
  name: "index",
  version: "1.0.0",
  summary: "An index.",
  config: z.strictObject({ embedding }),
  accepts: [""],
  inherit: ["embedding"],
  open: async () => ({ write: async () => {}, close: async () => {} }),
});
const keep = defineSink({
  ...index,
  name: "keep",
  config: z.strictObject({ embedding, store }),
  inherit: [],
});
const split = defineTransform({
  name: "split",
  version: "1.0.0",
  summary: "Splits.",
  config: z.strictObject({ embedding }),
  accepts: [""],
  emits: [""],
  open: async () => ({ apply: async (events) => events }),
});
const catalog: Catalog = {
  sources: {},
  transforms: { split: async () => split },
  sinks: { index: async () => index, keep: async () => keep },
};

const core = new URL("../index.js", import.meta.url).href;
const module = (kind: string) => `
  import { define${kind}, z } from "${core}";
  export const own = define${kind}({
    name: "own", version: "1.0.0", summary: "Own.",
    config: z.strictObject({
      key: z.string().meta({ secret: true }),
      file: z.string().meta({ path: true }).default("./model.bin"),
      size: z.int().min(1).default(3),
    }),
    open: async () => { throw new Error("not opened here"); },
  });`;

function write(name: string, text: string): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

function load(embedding: object, env: Readonly<Record<string, string>> = {}) {
  const connector = {
    name: "out",
    sink: "index",
    from: "pages",
    transforms: [{ use: "split" }],
    config: { embedding },
  };
  return loadPipeline([write("sluice.json", JSON.stringify(connector))], { env, catalog });
}

async function refusals(embedding: object) {
  const error: unknown = await load(embedding).catch((thrown: unknown) => thrown);
  if (!(error instanceof ConfigError)) throw new Error("it was accepted", { cause: error });
  return error.findings.map(({ code, path, message }) => [code, path?.split(": ")[1], message]);
}

it("an extension is loaded from its file, its options parsed, its paths absolute, for all that inherit it", async () => {
  const file = write("own.mjs", module("Embedder"));
  const pipeline = await load(
    { use: "./own.mjs", config: { key: "${KEY}", size: "${SIZE}" } },
    { KEY: "hush-hush", SIZE: "7" },
  );
  const [connector] = pipeline.connectors;
  const expected = {
    use: file,
    config: { key: "hush-hush", file: join(dir, "model.bin"), size: 7 },
  };
  expect(connector).toMatchObject({
    config: { embedding: expected },
    transforms: [{ config: { embedding: expected } }],
  });
});

it("so are an embedder and a vector store of one connector, both", async () => {
  const [own, vectors] = ["Embedder", "VectorStore"].map((kind) =>
    write(`${kind}.mjs`, module(kind)),
  );
  const config = {
    embedding: { use: "./Embedder.mjs", config: { key: "hush-hush" } },
    store: { use: "./VectorStore.mjs", config: { key: "quiet-please" } },
  };
  const connector = { name: "out", sink: "keep", from: "pages", config };
  const file = write("sluice.json", JSON.stringify(connector));
  const pipeline = await loadPipeline([file], { env: {}, catalog });
  const rest = { file: join(dir, "model.bin"), size: 3 };
  expect(pipeline.connectors[0]).toMatchObject({
    config: {
      embedding: { use: own, config: { key: "hush-hush", ...rest } },
      store: { use: vectors, config: { key: "quiet-please", ...rest } },
    },
  });
  expect(secretsOf(pipeline).toSorted()).toEqual(["hush-hush", "quiet-please"]);
});

it("what is secret in it stays secret, and is no part of the lineage", async () => {
  write("own.mjs", module("Embedder"));
  const of = (key: string) => load({ use: "./own.mjs", config: { key } });
  const [one, other] = [await of("hush-hush"), await of("another-one")];
  expect(secretsOf(one)).toEqual(["hush-hush"]);
  const hashOf = ({ connectors: [first] }: typeof one) =>
    first?.kind === "sink" ? first.transforms[0]?.configHash : undefined;
  expect(hashOf(one)).toBe(hashOf(other));
  const [connector] = one.connectors;
  const config = connector?.kind === "sink" ? connector.config : undefined;
  expect(JSON.stringify(redact(index.config, config))).not.toContain("hush");
  // Before it is loaded nobody knows what is secret in it: nothing of it is shown.
  const [, , message] =
    (await refusals({ use: "./own.mjs", config: { key: "hush-hush", size: 0 } }))[0] ?? [];
  expect(message).not.toContain("hush");
});

it("what is wrong with it is told by its place", async () => {
  write("own.mjs", module("Embedder"));
  write("store.mjs", module("VectorStore"));
  expect(await refusals({ use: "./own.mjs", config: { size: 0 } })).toEqual(
    expect.arrayContaining([
      ["config.missing", "config.embedding.config.key", expect.any(String)],
      ["config.wrong-value", "config.embedding.config.size", expect.any(String)],
    ]),
  );
  for (const [use, code] of [
    ["./absent.mjs", "config.unknown-connector"],
    ["absent-package", "config.unknown-connector"],
    ["./store.mjs", "config.broken-connector"],
  ])
    expect(await refusals({ use: use ?? "", config: { key: "k" } })).toContainEqual([
      code,
      "config.embedding.use",
      expect.stringContaining(use ?? ""),
    ]);
});
