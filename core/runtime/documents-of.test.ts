import { expect, it } from "vitest";
import type { SinkConnector, SourceConnector } from "../config/pipeline.ts";
import { defineSink, defineSource } from "../connector.ts";
import { upserted } from "../event.ts";
import { fakes } from "../testing/index.ts";
import { version } from "../version.ts";
import { z } from "zod";
import { scanFor } from "./documents-of.ts";

const capabilities = { deletes: true, snapshotOnRequest: true, replays: true, forgets: false };
const at = version({ epoch: 0, position: 1n, rank: 0, tail: 0 });
const record = (source: string) =>
  upserted({
    source,
    subject: "a",
    key: "a",
    version: at,
    time: "2026-01-01T00:00:00Z",
    meta: {},
    op: "read",
    after: {},
  });

/** A source of a type that holds one record of each `source` named. */
function sourceOf(type: string, name: string, sources: readonly string[]): SourceConnector {
  const source = defineSource({
    name: type,
    version: "1.0.0",
    summary: "",
    config: z.strictObject({}),
    checkpoint: z.strictObject({}),
    emits: [""],
    capabilities,
    async *scan() {
      yield sources.map(record);
    },
    async *read() {},
  });
  return { kind: "source", name, source, config: {}, to: "t", onGap: "fail" };
}

const sink = {
  kind: "sink",
  name: "sink",
  from: ["t"],
  transforms: [],
  config: {},
  retry: { attempts: 1, maxDelayMs: 1 },
  sink: defineSink({
    name: "sink",
    version: "1.0.0",
    summary: "",
    config: z.strictObject({}),
    accepts: [""],
    open: async () => ({ write: async () => {}, close: async () => {} }),
  }),
} as SinkConnector;

async function wholeOf(
  sources: readonly SourceConnector[],
  limit?: number,
): Promise<(source: string) => boolean> {
  const { log } = fakes.context({ config: {} });
  const { signal } = new AbortController();
  const ways = sources.map((source) => ({ source, consumers: [sink] }));
  const run = { project: "p", log, signal, ...(limit !== undefined && { limit }) };
  const { documents, isWhole } = scanFor(sink, ways, run);
  for await (const _ of documents); // read to its end
  return isWhole;
}

it("a source that shows nothing was read whole by its name", async () => {
  const isWhole = await wholeOf([sourceOf("file", "notes", []), sourceOf("file", "other", [])]);
  for (const source of ["/file/notes", "/file/other", "/file/notes/below"])
    expect(isWhole(source), source).toBe(true);
  for (const source of ["/file/elsewhere", "/file/notes2", "/s3/notes"])
    expect(isWhole(source), source).toBe(false);
});

it("a table that shows nothing was read whole by those beside it", async () => {
  const shop = sourceOf("postgres", "db", ["/postgres/shop/public.a"]);
  const isWhole = await wholeOf([shop, sourceOf("file", "notes", ["/file/notes"])]);
  for (const source of ["/postgres/shop/public.a", "/postgres/shop/public.b", "/file/notes"])
    expect(isWhole(source), source).toBe(true);
  for (const source of ["/postgres/bank/public.a", "/file/other"])
    expect(isWhole(source), source).toBe(false);
});

it("a database that shows nothing is told by its type where it is the only one", async () => {
  const empty = sourceOf("postgres", "db", []);
  expect((await wholeOf([empty]))("/postgres/shop/public.a")).toBe(true);
  expect((await wholeOf([empty, sourceOf("postgres", "x", [])]))("/postgres/shop/t")).toBe(false);
});

it("nothing was read whole where reading ended early", async () => {
  const isWhole = await wholeOf([sourceOf("file", "notes", ["/file/notes", "/file/notes"])], 1);
  expect(isWhole("/file/notes")).toBe(false);
});
