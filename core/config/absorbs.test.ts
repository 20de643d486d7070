import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { defineTransform } from "../connector.ts";
import { z } from "../index.ts";
import { ConfigError } from "../errors.ts";
import { loadPipeline } from "./load.ts";

const dir = mkdtempSync(join(tmpdir(), "absorbs-"));
afterAll(() => rmSync(dir, { recursive: true }));

const made = (name: string, accepts: string, emits: string, absorbs?: readonly string[]) =>
  defineTransform({
    name,
    version: "1.0.0",
    summary: "For tests.",
    config: z.strictObject({}),
    accepts: accepts.split(" "),
    emits: [emits],
    ...(absorbs && { absorbs }),
    open: async () => ({ apply: async (events) => events }),
  });
const past = ["dev.sluice.record.deleted", "dev.sluice.collection."];
const all = [
  made("keeps", "a. b.", "a.", ["b.", ...past]),
  made("keeps-no-deletes", "a. b.", "a.", ["b."]),
  made("keeps-other", "a. b.", "a.", ["c.", ...past]),
  made("answers", "a.", "b."),
  made("echoes", "", ""),
];
const catalog = {
  sources: {},
  transforms: Object.fromEntries(all.map((one) => [one.name, async () => one])),
  sinks: {},
};

async function loops(connectors: readonly object[]): Promise<readonly (string | undefined)[]> {
  const file = join(dir, "sluice.json");
  writeFileSync(file, JSON.stringify({ connectors }));
  try {
    await loadPipeline([file], { env: {}, catalog });
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.findings.map(({ code }) => code)).toEqual(error.findings.map(() => "config.loop"));
    return error.findings.map(({ message }) => message.split(":")[0]);
  }
}

const ring = (first: string, ...rest: readonly string[]) =>
  [first, ...rest].map((transform, at, { length }) => ({
    name: `n${at}`,
    transform,
    from: at === 0 ? ["in", `t${length - 1}`] : [`t${at - 1}`],
    to: `t${at}`,
  }));

it("a topic that leads back to who absorbs what it carries is no loop", async () => {
  expect(await loops(ring("keeps", "answers"))).toEqual([]);
  expect(await loops(ring("keeps", "echoes", "answers", "echoes"))).toEqual([]);
});

it("one that carries anything else is", async () => {
  expect(await loops(ring("keeps-other", "answers"))).toEqual(["n0", "n1"]);
  expect(await loops(ring("keeps", "echoes"))).toEqual(["n0", "n1"]);
  const mixed = [
    ...ring("keeps", "answers"),
    { name: "n2", transform: "echoes", from: "t0", to: "t1" },
  ];
  expect(await loops(mixed)).toEqual(["n0", "n1", "n2"]);
});

it("one is a loop for deletes and clears, which pass by, unless they are absorbed too", async () => {
  expect(await loops(ring("keeps-no-deletes", "answers"))).toEqual(["n0", "n1"]);
});

it("a connector may read its own answers", async () => {
  const own = { name: "all", transform: "answers", from: ["in", "out"], to: "out" };
  expect(await loops([{ ...own, transforms: [{ use: "keeps" }] }])).toEqual([]);
  expect(await loops([{ ...own, transforms: [{ use: "echoes" }, { use: "keeps" }] }])).toEqual([]);
  expect(await loops([{ ...own, transforms: [{ use: "keeps-no-deletes" }] }])).toEqual(["all"]);
});
