import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { fakes } from "../index.ts";

describe("the fake clock", () => {
  it("wakes who sleeps when their time has come, in that order", async () => {
    const { now, sleep, advance } = fakes.clock(100);
    const woken: number[] = [];
    const twice = async () => {
      await sleep(10);
      woken.push(now());
      await sleep(10);
      woken.push(now());
    };
    const all = Promise.all([twice(), sleep(15).then(() => woken.push(now()))]);
    await advance(9);
    assert.deepEqual(woken, []);
    await advance(20);
    await all;
    assert.deepEqual(woken, [110, 115, 120]);
    assert.equal(now(), 129);
  });

  it("lets an abort end a sleep", async () => {
    const { sleep } = fakes.clock();
    const aborter = new AbortController();
    const sleeping = sleep(10, undefined, { signal: aborter.signal });
    aborter.abort(new Error("enough"));
    await assert.rejects(sleeping, /enough/);
  });
});

describe("faults", () => {
  it("break the call they name, before it is made or after", async () => {
    const error = new Error("gone");
    for (const [when, kept] of [
      ["before", undefined],
      ["after", 1],
    ] as const) {
      const { state } = fakes.state();
      const { faulty, calls } = fakes.faulty(state, [{ at: 2, when, error }]);
      await faulty.get(["a"]);
      await assert.rejects(faulty.each([{ key: "a", value: 1 }]), error);
      const [entry] = await faulty.get(["a"]);
      assert.equal(entry?.value, kept);
      assert.deepEqual(calls, ["get", "each", "get"]);
    }
  });

  it("break what is listed at its first page", async () => {
    const { state } = fakes.state();
    const { faulty } = fakes.faulty(state, [{ at: 1, error: new Error("gone") }]);
    await assert.rejects(async () => {
      for await (const _ of faulty.scan("")) assert.fail("listed");
    }, /gone/);
  });
});
