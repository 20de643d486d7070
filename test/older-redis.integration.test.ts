import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { docKeyOf } from "../connectors/_shared/vector-sync/doc-key.ts";
import { at, doc, gone, source } from "../connectors/_shared/vector-sync/harness.ts";
import { memoryStore } from "../connectors/_shared/vector-sync/memory-store.ts";
import { vectors } from "../connectors/sinks/vectors/vectors.ts";
import type { Pipeline } from "../core/config/pipeline.ts";
import { defineSource } from "../core/connector.ts";
import { z } from "../core/index.ts";
import { startPipeline } from "../core/runtime/runner.ts";
import { seeded } from "./chaos/random.ts";
import { startRedis } from "./redis-server.ts";

const dimensions = 64;
const documents = 40;
const texts = 30;
const lostMs = 2_000;
const random = seeded(20_261_127);
const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

// An origin that knows no more than what is there now: what state has forgotten can not be read again step by step.
const origin = new Map<
  string,
  { readonly n: number; readonly texts: readonly string[] | undefined }
>();
let changes = 0;

function change(): void {
  const subject = `d${random.below(documents)}`;
  const some = Array.from({ length: 1 + random.below(4) }, () => `text ${random.below(texts)}`);
  const isGone = random.below(8) === 0;
  origin.set(subject, { n: (changes += 1), texts: isGone ? undefined : [...new Set(some)] });
}

const listing = defineSource({
  name: "listing",
  version: "1.0.0",
  summary: "What is there now.",
  config: z.strictObject({}),
  checkpoint: z.number(),
  emits: ["dev.sluice."],
  capabilities: { deletes: true, snapshotOnRequest: false, replays: true, forgets: false },
  async *read({ checkpoint = 0, signal }) {
    for (let after = checkpoint; !signal.aborted; await sleep(20)) {
      const newer = [...origin]
        .filter(([, { n }]) => n > after)
        .toSorted(([, a], [, b]) => a.n - b.n);
      if (newer.length === 0) continue;
      after = newer.at(-1)?.[1].n ?? after;
      const events = newer.map(([subject, { n, texts: all }]) =>
        all ? doc(subject, all, at(n)) : gone(subject, at(n)),
      );
      yield { events, checkpoint: after };
    }
  },
});

it("an index is exact although Redis, and with it the notes of it, went back under the running process (Invariant 5)", async () => {
  const redis = await startRedis();
  onTestFinished(redis.stop);
  const dir = mkdtempSync(join(tmpdir(), "sluice-older-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const store = memoryStore({ dimensions });
  Object.assign(globalThis, { olderStore: store });
  const core = new URL("../core/index.js", import.meta.url).href;
  writeFileSync(
    join(dir, "store.mjs"),
    `import { defineVectorStore, z } from "${core}";
     export const memory = defineVectorStore({
       name: "memory", version: "1.0.0", summary: "In memory.", config: z.strictObject({}),
       open: async () => ({ ...globalThis.olderStore, target: "memory" }),
     });`,
  );
  const place = { kind: "redis", url: redis.url } as const;
  const pipeline: Pipeline = {
    project: "older",
    queue: place,
    state: place,
    topics: { documents: { partitions: 2, optional: false, maxWaiting: 100 } },
    connectors: [
      { kind: "source", name: "listing", source: listing, config: {}, to: "documents" },
      {
        kind: "sink",
        name: "search",
        sink: vectors,
        config: vectors.config.parse({
          store: { use: join(dir, "store.mjs"), config: {} },
          embedding: { provider: "hash", dimensions },
        }),
        from: ["documents"],
        transforms: [],
        retry: { attempts: 3, maxDelayMs: 500 },
      },
    ],
  };
  const running = await startPipeline(pipeline, { log, admin: { host: "127.0.0.1", port: 0 } });
  onTestFinished(() => running.stop(5_000));
  const changing = setInterval(change, 5);
  onTestFinished(() => clearInterval(changing));

  for (let cut = 0; cut < 3; cut++) {
    await expect.poll(() => store.writes.length, { timeout: 30_000 }).toBeGreaterThan(cut * 20);
    const mark = redis.mark();
    await sleep(lostMs);
    await redis.restart(mark);
    await sleep(500 + random.below(1_000));
  }
  clearInterval(changing);
  const wanted = [...origin].flatMap(([subject, { texts: all }]) =>
    (all ?? []).map((text) => {
      const [chunk] = doc(subject, [text], at(1)).data.chunks ?? [];
      return `${docKeyOf(source, subject)}#${chunk?.id}`;
    }),
  );
  const held = () => store.dump("__default__").map(({ id }) => id);
  await expect
    .poll(held, { timeout: 60_000, interval: 200 })
    .toEqual(wanted.toSorted((a, b) => (a < b ? -1 : 1)));
}, 120_000);
