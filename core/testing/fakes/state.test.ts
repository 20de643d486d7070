import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { fakes } from "../index.ts";

describe("the fake state", () => {
  it("keeps revisions and honours expect", async () => {
    const { state } = fakes.state();
    assert.deepEqual(await state.each([{ key: "a", value: 1, expect: 0 }]), [true]);
    assert.deepEqual(await state.each([{ key: "a", value: 2, expect: 0 }]), [false]);
    assert.deepEqual(await state.get(["a", "b"]), [{ key: "a", value: 1, revision: 1 }, undefined]);
    const all = [
      { key: "a", value: 2, expect: 1 },
      { key: "b", value: 2, expect: 7 },
    ];
    assert.equal(await state.all(all), false);
    assert.deepEqual(await state.get(["a"]), [{ key: "a", value: 1, revision: 1 }]);
  });
  it("scans in the order of bytes, a page at a time", async () => {
    const { state } = fakes.state();
    const keys = ["f/\u{1F600}", "f/\u{FF5E}", "f/a", "g/a"];
    await state.each(keys.map((key) => ({ key, value: null })));
    const pages: string[][] = [];
    for await (const page of state.scan("f/", { pageSize: 2 }))
      pages.push(page.map(({ key }) => key));
    assert.deepEqual(pages, [["f/a", "f/\u{FF5E}"], ["f/\u{1F600}"]]);
  });
  it("lets entries end with their time", async () => {
    const { state, advance } = fakes.state();
    await state.each([{ key: "a", value: 1, ttlMs: 100 }]);
    advance(101);
    assert.deepEqual(await state.get(["a"]), [undefined]);
  });
  it("refuses a holder that was replaced, and says when a lease was inherited", async () => {
    const { state, leases, lapse } = fakes.state();
    const first = await leases.acquire("l", 1_000);
    assert.equal(await leases.acquire("l", 1_000), undefined);
    lapse("l");
    const second = await leases.acquire("l", 1_000);
    assert.ok(first?.signal.aborted && second?.inherited);
    await assert.rejects(state.each([{ key: "a", value: 1 }], first), { name: "FencedError" });
    assert.deepEqual(await state.each([{ key: "a", value: 1 }], second), [true]);
  });
  it("is copied as a backup copies: later writes and holders are strangers to it", async () => {
    const place = fakes.state();
    const lease = await place.leases.acquire("l", 1_000);
    await place.state.each([{ key: "a", value: 1 }], lease);
    const copy = place.copy();
    await place.state.each([{ key: "a", value: 2 }], lease);
    assert.deepEqual(await copy.state.get(["a"]), [{ key: "a", value: 1, revision: 1 }]);
    assert.equal((await copy.leases.acquire("l", 1_000))?.token, 2);
  });
});
