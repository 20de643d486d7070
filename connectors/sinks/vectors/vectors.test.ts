import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import {
  loadVectorStore,
  RetryableError,
  upserted,
  type StoreRun,
  type Vector,
  type VectorStore,
} from "sluice";
import { fakes, sinkConformance, type Sample } from "sluice/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { memoryStore } from "../../_shared/vector-sync/memory-store.ts";
import { vectors } from "./vectors.ts";

const dimensions = 64;
const store = memoryStore({ dimensions });
let trouble: "outage" | "stall" | undefined;
const met = async ({ signal }: StoreRun) => {
  if (trouble === "outage")
    throw new RetryableError("memory: away.", { code: "memory.away", reason: "unreachable" });
  if (trouble === "stall") await sleep(60_000, undefined, { signal });
};
const troubled: Pick<VectorStore, "upsert" | "remove" | "fetch" | "list"> = {
  upsert: (given, run) => met(run).then(() => store.upsert(given, run)),
  remove: (ids, run) => met(run).then(() => store.remove(ids, run)),
  fetch: (ids, run) => met(run).then(() => store.fetch(ids, run)),
  async *list(prefix, run) {
    await met(run);
    yield* store.list(prefix, run);
  },
};
// As the module finds it: a store of a third party lives in a module of its own.
Object.assign(globalThis, { testStore: { ...store, ...troubled } });
const core = new URL("../../../core/index.js", import.meta.url).href;
const own = `
  import { defineVectorStore, z } from "${core}";
  export const memory = defineVectorStore({
    name: "memory", version: "1.0.0", summary: "In memory.",
    config: z.strictObject({ dimensions: z.number() }),
    open: async ({ config, dimensions, readOnly }) => ({
      ...globalThis.testStore,
      target: readOnly || dimensions === config.dimensions ? "memory" : "other",
      describe: async () => ({ dimensions: config.dimensions, metric: "cosine" }),
    }),
  });`;

// Here, not in a hook: the conformance cases are made before hooks run.
const dir = await mkdtemp(join(tmpdir(), "vectors-"));
const use = join(dir, "store.mjs");
const empty = JSON.stringify({ dimensions, spaces: [] });
beforeAll(() => Promise.all([writeFile(use, own), writeFile(join(dir, "kept.json"), empty)]));
afterAll(() => rm(dir, { recursive: true }));

const config = {
  store: { use, config: { dimensions } },
  embedding: { provider: "hash", dimensions },
};
const contextOf = (more: object = {}) =>
  fakes.context({ config: vectors.config.parse({ ...config, ...more }) });

/** All that a file of the store in `use` holds, of the namespace that the sink writes to. */
async function readKept(use: string, path: string): Promise<readonly Vector[]> {
  const extension = await loadVectorStore(use);
  const told = fakes.context<unknown>({ config: { path } });
  const reader = await extension.open({ ...told, readOnly: true });
  const to = { namespace: "__default__", signal: told.signal };
  const found: Vector[] = [];
  for await (const ids of reader.list("", to))
    for (const id of ids) found.push(...(await reader.fetch([id], to)));
  await reader.close();
  return found;
}

/** A document of one chunk that no model embeds. */
const poison: Sample = (about) => ({
  ...upserted({ ...about, op: "update", after: {} }),
  type: "dev.sluice.document.upserted",
  data: {
    key: about.key,
    text: " ",
    metadata: {},
    lineage: [],
    chunks: [{ id: "0000000000000000~0", text: " ", start: 0, end: 1 }],
  },
});

describe("the sink over a store of one's own", () => {
  const read = async () => store.dump("__default__");
  const meets = (what: typeof trouble) => ({
    begin: () => void (trouble = what),
    end: () => void (trouble = undefined),
  });
  const [outage, stall] = [meets("outage"), meets("stall")];
  const given = { sink: vectors, config, read, poison, outage, stall };
  for (const { name, run } of sinkConformance(given)) it(name, run);

  // Over one that outlives a process.
  const path = join(dir, "kept.json");
  const keeps = new URL("../../../core/testing/mutants/drawers.test.data.js", import.meta.url);
  for (const { name, run } of sinkConformance({
    sink: vectors,
    config: { ...config, store: { use: fileURLToPath(keeps), config: { path } } },
    read: () => readKept(fileURLToPath(keeps), path),
    module: new URL("./vectors.js", import.meta.url),
  }))
    if (/^(killed|in another process)/.test(name)) it(name, run, 60_000);

  it("tells whether the index fits the model", async () => {
    expect(await vectors.check?.(contextOf())).toMatchObject([{ code: "vectors.ready" }]);
    const wrong = contextOf({ store: { use, config: { dimensions: 3 } } });
    expect(await vectors.check?.(wrong)).toMatchObject([
      { severity: "error", code: "vectors.dimensions-mismatch" },
    ]);
    await expect(vectors.open(wrong)).rejects.toMatchObject({
      code: "vectors.dimensions-mismatch",
    });
    const absent = contextOf({ store: { use: join(dir, "absent.mjs") } });
    expect(await vectors.check?.(absent)).toMatchObject([{ code: "config.broken-connector" }]);
  });

  it("is searched, audited and estimated", async () => {
    const { signal } = new AbortController();
    const reader = await vectors.openReader?.(contextOf());
    expect(await reader?.search({ text: "anything", topK: 1 }, { signal })).toMatchObject({
      matches: expect.any(Array),
    });
    const auditor = await vectors.openAuditor?.(contextOf());
    const how = {
      sample: 10,
      values: false,
      lineage: [],
      settled: async () => true,
      patienceMs: 0,
    };
    const first = await auditor?.verify(how, { signal }).next();
    // The state is another one: nobody knows these vectors.
    expect(first?.value).toMatchObject({ kind: "orphaned" });
    const estimator = await vectors.openEstimator?.(contextOf());
    expect(estimator?.model).toBe("hash@1/64/normalised");
  });
});
