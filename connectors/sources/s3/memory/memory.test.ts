import { fakes } from "sluice/testing";
import { describe, expect, it } from "vitest";
import { byBytes } from "../byte-order.ts";
import { maxKeys } from "./block.ts";
import { openDoubts } from "./doubts.ts";
import { openMemory } from "./memory.ts";

const print = (at: number) => at.toString(16).padStart(12, "0");

describe("the memory of a bucket", () => {
  it("equals a map, whatever is done to it, and after it was opened again", async () => {
    // A small generator, so that a failure comes again.
    let seed = 7;
    const random = (below: number) => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % below;
    };
    const { state } = fakes.state();
    let memory = await openMemory(state);
    const expected = new Map<string, string>();
    const alphabet = ["a", "b/", "é", "\ud83d\ude00", "\uffee", "\u0001", "z z"];
    const keyAt = (at: number) =>
      [at % 7, (at >> 3) % 7, (at >> 6) % 7].map((one) => alphabet[one]).join("") + (at % 50);
    for (let round = 0; round < 120; round++) {
      const keys = Array.from({ length: 1 + random(200) }, () => keyAt(random(3_000)));
      const excerpt = await memory.open(keys);
      for (const key of keys) {
        expect(excerpt.get(key)).toBe(expected.get(key));
        const fingerprint = random(round > 90 ? 2 : 5) === 0 ? print(random(1e9)) : undefined;
        const isRemoved = fingerprint === undefined && random(3) > 0;
        const next = isRemoved ? undefined : (fingerprint ?? print(random(1e9)));
        excerpt.set(key, next);
        if (next === undefined) expected.delete(key);
        else expected.set(key, next);
        expect(excerpt.get(key)).toBe(next);
      }
      await state.all(excerpt.writes());
      if (random(10) === 0) memory = await openMemory(state);
    }
    const all: [string, string][] = [];
    for await (const { key, fingerprint } of memory.behind("")) all.push([key, fingerprint]);
    expect(all).toEqual([...expected].toSorted(([a], [b]) => byBytes(a, b)));
    expect(all.length).toBeGreaterThan(100);
    const [middle = ""] = all[Math.floor(all.length / 2)] ?? [];
    const rest: string[] = [];
    for await (const { key } of memory.behind(middle)) rest.push(key);
    expect(rest).toEqual(all.slice(Math.floor(all.length / 2) + 1).map(([key]) => key));
  });

  it("takes less than 20 bytes an object and one entry for many", async () => {
    const { state } = fakes.state();
    const memory = await openMemory(state);
    const keys = Array.from(
      { length: 5_000 },
      (_, at) => `reports/2026/11/report-${print(at)}.pdf`,
    );
    for (let from = 0; from < keys.length; from += 1_000) {
      const excerpt = await memory.open(keys.slice(from, from + 1_000));
      for (const key of keys.slice(from, from + 1_000))
        excerpt.set(key, print(Math.floor(Math.random() * 2 ** 47)));
      await state.all(excerpt.writes());
    }
    let [entries, bytes] = [0, 0];
    for await (const page of state.scan(""))
      for (const { key, value } of page) {
        entries += 1;
        bytes += key.length + JSON.stringify(value).length;
      }
    expect(entries).toBe(Math.ceil(keys.length / maxKeys));
    expect(bytes / keys.length).toBeLessThan(20);
  });

  it("shows every key that stays while others are written and blocks split", async () => {
    const { state } = fakes.state();
    const memory = await openMemory(state);
    const staying = Array.from({ length: 4_000 }, (_, at) => `k${String(at).padStart(5, "0")}`);
    const put = async (keys: readonly string[]) => {
      const excerpt = await memory.open(keys);
      for (const key of keys) excerpt.set(key, print(1));
      await state.all(excerpt.writes());
    };
    await put(staying);
    const seen: string[] = [];
    for await (const { key } of memory.behind("")) {
      seen.push(key);
      if (seen.length % 100 === 0)
        await put(
          Array.from({ length: 50 }, (_, at) => `${staying[(seen.length * 7 + at * 61) % 4_000]}x`),
        );
    }
    expect(seen).toEqual(seen.toSorted(byBytes));
    expect(new Set(seen).size).toBe(seen.length);
    const shown = new Set(seen);
    expect(staying.filter((key) => !shown.has(key))).toEqual([]);
  });

  it("refuses what a newer version wrote", async () => {
    const { state } = fakes.state();
    await state.all([{ key: "o/", value: "2AAAA" }]);
    const memory = await openMemory(state);
    await expect(memory.open(["a"])).rejects.toMatchObject({ code: "s3.state-newer" });
  });
});

describe("doubts", () => {
  it("stay until all of a batch are settled", async () => {
    const { state } = fakes.state();
    const first = await openDoubts(state);
    await state.all(await first.announce(["a"], "v1")); // stored: no doubt
    await first.announce(["b", "c"], "v2"); // a crash
    const second = await openDoubts(state);
    expect(second.keys()).toEqual(["b", "c"]);
    expect(second.settle(["b"])).toEqual([]);
    expect([second.has("b"), second.has("c")]).toEqual([false, true]);
    await state.all(second.settle(["c", "other"]));
    expect((await openDoubts(state)).keys()).toEqual([]);
  });
});
