import { expect, it } from "vitest";
import type { StateStore } from "sluice";
import { fakes } from "sluice/testing";
import { vectorCache, type Keeping } from "./vector-cache.ts";

const { fence } = fakes.writeRun();
const dimensions = 48; // 256 characters of base64
const entry = 256 + 64;
const vector = (value: number) => new Float32Array(dimensions).fill(value);

async function keep(
  cache: ReturnType<typeof vectorCache>,
  keys: readonly string[],
  state: StateStore,
): Promise<void> {
  const lookup = await cache.lookUp(keys);
  const fresh = keys.filter((key) => !lookup.found.has(key));
  await write(lookup.keep(new Map(fresh.map((key) => [key, vector(key.length)]))), state);
}

async function write({ take, stored }: Keeping, state: StateStore): Promise<void> {
  const writes = take();
  if (writes.length > 0) await stored(await state.each(writes, fence), fence);
}

async function count(state: StateStore): Promise<number> {
  let keys = 0;
  for await (const page of state.scan("vc/")) keys += page.length;
  return keys;
}

it("gives back the very floats", async () => {
  const { state } = fakes.state();
  const values = new Float32Array(dimensions).map((_, at) => Math.fround(Math.sin(at) * 1e-7));
  const lookup = await vectorCache({ state, dimensions, maxBytes: 1e6 }).lookUp(["k"]);
  await write(lookup.keep(new Map([["k", values]])), state);
  const { found } = await vectorCache({ state, dimensions, maxBytes: 1e6 }).lookUp(["k", "other"]);
  expect([...found]).toEqual([["k", values]]);
});

it("stays within its bytes, forgets what is old and remembers what is used", async () => {
  const { state } = fakes.state();
  const maxBytes = 100 * entry;
  const cache = vectorCache({ state, dimensions, maxBytes });
  for (let round = 0; round < 200; round++) {
    await keep(cache, ["in use", ...Array.from({ length: 7 }, (_, n) => `${round}/${n}`)], state);
    expect(await count(state)).toBeLessThanOrEqual(100 + 8);
  }
  const { found } = await cache.lookUp(["in use", "0/0", "199/0"]);
  expect([...found.keys()]).toEqual(["in use", "199/0"]);
});

it("stays within its bytes with several workers writing at once", async () => {
  const { state } = fakes.state();
  const caches = [1, 2, 3].map(() => vectorCache({ state, dimensions, maxBytes: 60 * entry }));
  for (let round = 0; round < 60; round++)
    await Promise.all(
      caches.map((cache, n) => keep(cache, [`${n}/${round}/a`, `${n}/${round}/b`], state)),
    );
  expect(await count(state)).toBeLessThanOrEqual(60 + 20);
  expect(await count(state)).toBeGreaterThan(10);
});

it("costs one read and one write a batch, and nothing when it is off", async () => {
  const { state } = fakes.state();
  let calls = 0;
  const counting: StateStore = {
    ...state,
    get: (keys) => ((calls += 1), state.get(keys)),
    each: (writes, run) => ((calls += 1), state.each(writes, run)),
  };
  const keys = Array.from({ length: 500 }, (_, n) => `k${n}`);
  await keep(vectorCache({ state: counting, dimensions, maxBytes: 1e9 }), keys, counting);
  expect(calls).toBe(2);
  await keep(vectorCache({ state: counting, dimensions, maxBytes: 1e9 }), keys, counting);
  expect(calls).toBe(3);
  await keep(vectorCache({ state: counting, dimensions, maxBytes: 0 }), keys, counting);
  expect(calls).toBe(3);
});

it("asks the generations that count, also when others move on meanwhile, and can be emptied", async () => {
  const { state } = fakes.state();
  const read: string[] = [];
  const watching: StateStore = { ...state, get: (keys) => (read.push(...keys), state.get(keys)) };
  const maxBytes = 20 * entry;
  const [one, other] = [watching, state].map((store) =>
    vectorCache({ state: store, dimensions, maxBytes }),
  );
  if (one === undefined || other === undefined) throw new Error("two were made");
  await keep(one, ["a"], state);
  for (let round = 0; round < 8; round++) {
    await keep(
      other,
      Array.from({ length: 11 }, (_, n) => `${round}/${n}`),
      state,
    );
    const fresh = [`${round}/0`, `${round}/10`];
    expect([...(await one.lookUp(fresh)).found.keys()]).toEqual(fresh);
  }
  read.length = 0;
  await one.lookUp(["x"]);
  expect(read.filter((key) => key.endsWith("/x"))).toHaveLength(2);
  const held = await count(state);
  expect(await one.clear()).toBe(held);
  expect(await count(state)).toBe(0);
});
