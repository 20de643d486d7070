import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { defineTransform } from "../connector.ts";
import { ConfigError } from "../errors.ts";
import { catalog, embedding, index } from "./catalog.test.data.ts";
import { loadPipeline } from "./load.ts";

let dir: string;
beforeAll(() => (dir = mkdtempSync(join(tmpdir(), "sluice-readers-"))));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const look = defineTransform({
  name: "look",
  version: "1.0.0",
  summary: "Looks into an index.",
  config: z.strictObject({
    index: z.strictObject({ store: z.literal("index"), config: index.config }),
    embedding: embedding.unwrap().optional(),
  }),
  accepts: ["dev.sluice.document."],
  emits: ["dev.sluice.document."],
  reads: "index",
  open: async () => ({ apply: async (events) => events }),
});
const transforms = { ...catalog.transforms, look: async () => look };

const remote = (model: string, apiKey = "k") => ({ provider: "remote", model, apiKey });

/** Documents into an index, and a way on which it is looked in, in files of their own. */
async function problems(given: {
  readonly sink?: object;
  readonly index?: object;
  readonly look?: object;
  readonly split?: object;
  readonly fused?: boolean;
}): Promise<readonly string[]> {
  const index = { store: "index", config: { index: "i", ...given.index } };
  const split = { use: "split", config: given.split ?? {} };
  const files = {
    source: { name: "notes", source: "folder", to: "pages", config: { path: "." } },
    sink: {
      name: "search",
      sink: "index",
      from: "pages",
      transforms: [{ use: "parse" }],
      config: { index: "i", ...given.sink },
    },
    asked: {
      name: "asked",
      transform: "split",
      from: "pages",
      to: "asked",
      transforms: [{ use: "parse" }],
      config: split.config,
    },
    look: {
      name: "look",
      transform: "look",
      from: given.fused ? "pages" : "asked",
      to: "found",
      transforms: given.fused ? [{ use: "parse" }, split] : [],
      config: { index, ...given.look },
    },
    end: { name: "end", sink: "print", from: "found" },
  };
  const { asked, ...others } = files;
  const names = Object.entries(given.fused ? others : { ...others, asked }).map(
    ([name, content]) => {
      const file = join(dir, `${name}.json`);
      writeFileSync(file, JSON.stringify(content));
      return file;
    },
  );
  try {
    await loadPipeline(names, { env: {}, catalog: { ...catalog, transforms } });
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return (error.findings ?? []).map(({ path = "", code, message }) =>
      [path.replace(`${dir}/`, ""), code, message].join(" | "),
    );
  }
}

describe("a stage that reads an index", () => {
  it("agrees with the stages before it and with its sink, whatever the keys", async () => {
    expect(await problems({})).toEqual([]);
    const same = { embedding: remote("m") };
    const other = { embedding: remote("m", "another key") };
    expect(await problems({ sink: same, index: other, split: same })).toEqual([]);
    expect(await problems({ sink: same, look: other, split: same, fused: true })).toEqual([]);
  });

  it("is told which stage before it has another model, fused or in another file", async () => {
    const split = { embedding: remote("m") };
    const message =
      'look: split has embedding {"provider":"remote","model":"m"}, but look looks in an index of {"provider":"local"}.';
    expect(await problems({ split })).toEqual([
      `asked.json: config.embedding | config.differs-from-index | ${message}`,
    ]);
    expect(await problems({ split, fused: true })).toEqual([
      `look.json: transforms[1].config.embedding | config.differs-from-index | ${message}`,
    ]);
  });

  it("is told that the sink fills the index with another model", async () => {
    const embedding = remote("m");
    const message =
      'look: look has embedding {"provider":"local"}, but "search" fills that index with {"provider":"remote","model":"m"}.';
    expect(await problems({ sink: { embedding } })).toEqual([
      `look.json: config.index.config.embedding | config.differs-from-index | ${message}`,
    ]);
    const look = { embedding: { provider: "local" } };
    expect(await problems({ sink: { embedding }, index: { embedding }, look })).toEqual([
      `look.json: config.embedding | config.differs-from-index | ${message}`,
    ]);
    expect(await problems({ sink: { embedding, index: "another" } })).toEqual([]);
  });
});
