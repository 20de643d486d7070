import { afterEach, expect, it } from "vitest";
import { seeded } from "../chaos/random.ts";
import { at, document, paragraphs, textOf } from "./documents.ts";
import { openSyncedIndex, type SyncedIndex } from "./pipeline.ts";

let open: SyncedIndex[] = [];
afterEach(async () => {
  await Promise.all(open.map((one) => one.close()));
  open = [];
});

async function started(): Promise<SyncedIndex> {
  const one = await openSyncedIndex({ partitions: 4 });
  open.push(one);
  await one.publish(documents(1));
  await one.settle();
  return one;
}

/** Four paragraphs each, of which a version changes the last. */
function documents(version: number) {
  return Array.from({ length: 20 }, (_, n) => {
    const parts = paragraphs(seeded(n), 3, `d${n}p`);
    return document(`d${n}`, textOf([...parts, `d${n} at ${version}`]), at(version));
  });
}

async function control({ server }: SyncedIndex, method: string, path: string, body?: object) {
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: { "api-key": "test", "content-type": "application/json" },
    ...(body && { body: JSON.stringify(body) }),
  });
  expect(response.ok, await response.text()).toBe(true);
}

async function replace(one: SyncedIndex, dimension: number): Promise<void> {
  const spec = { serverless: { cloud: "aws", region: "us-east-1" } };
  await control(one, "DELETE", "/indexes/kb");
  await control(one, "POST", "/indexes", { name: "kb", dimension, metric: "cosine", spec });
}

const codeOf = async (one: SyncedIndex) => (await one.status()).error?.code;

it("an index replaced by one of other dimensions fails the sink, and no document is given up", async () => {
  const one = await started();
  const before = await one.dump();
  await replace(one, 32);
  await one.publish(documents(2));
  await expect.poll(() => codeOf(one), { timeout: 20_000 }).toBe("vectors.dimensions-mismatch");
  expect(await one.deadLetters()).toEqual([]);
  await replace(one, 64);
  await one.settle(60_000);
  expect(await one.deadLetters()).toEqual([]);
  // All of each document, not only what its last edit changed.
  expect((await one.dump()).length).toBe(before.length);
}, 120_000);

it("an index deleted while the sink runs is created again, and documents are written whole as they change", async () => {
  const one = await started();
  const before = await one.dump();
  await control(one, "DELETE", "/indexes/kb");
  await one.publish(documents(2));
  await expect.poll(() => codeOf(one), { timeout: 20_000 }).toBe("pinecone.index-gone");
  await one.settle(60_000);
  expect(await one.deadLetters()).toEqual([]);
  expect((await one.dump()).length).toBe(before.length);
}, 120_000);
