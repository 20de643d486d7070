import assert from "node:assert/strict";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { FencedError } from "../errors.ts";
import type { Entry, Lease, Scope, StatePlace, StateStore } from "./state.ts";

export interface Case {
  readonly name: string;
  readonly run: () => Promise<void>;
}

/**
 * What every implementation of `StatePlace` must keep. `open` opens the same place each time: opened
 * twice, the two play two processes. Cases use connector names of their own and may share a place.
 */
export function stateConformance({
  open,
}: {
  readonly open: () => Promise<StatePlace>;
}): readonly Case[] {
  return cases.map(([name, run], at) => ({
    name,
    run: async () => {
      const first = await open();
      const second = await open();
      try {
        const connector = `case-${at}`;
        await run(first.scope(connector), second.scope(connector), first);
      } finally {
        await first.close();
        await second.close();
      }
    },
  }));
}

type Run = (scope: Scope, other: Scope, place: StatePlace) => Promise<void>;

const ttlMs = 400;

const cases: readonly (readonly [name: string, run: Run])[] = [
  [
    "what is written is read, in the order of the keys asked for",
    async ({ state }, other) => {
      const value = { text: 'ü\0"\u{1F600}\uD800', list: [1, null, true, 1.5], nested: { a: {} } };
      assert.deepEqual(await state.each([put("b", value), put("a", "x")]), [true, true]);
      for (const reader of [state, other.state])
        assert.deepEqual(await reader.get(["a", "none", "b"]), [
          { key: "a", value: "x", revision: 1 },
          undefined,
          { key: "b", value, revision: 1 },
        ]);
      assert.deepEqual(await state.get([]), []);
    },
  ],
  [
    "a revision grows with every write, and a delete forgets",
    async ({ state }) => {
      await state.each([put("k", 1), put("k", 2)]);
      assert.equal(await revision(state, "k"), 2);
      await state.each([put("k", undefined)]);
      assert.deepEqual(await state.get(["k"]), [undefined]);
      await state.each([put("k", 3)]);
      assert.equal(await revision(state, "k"), 1);
    },
  ],
  [
    "each: a write whose revision does not match is left out, the others are done",
    async ({ state }) => {
      await state.each([put("k", 1)]);
      const done = await state.each([
        { key: "k", value: 2, expect: 0 },
        { key: "k", value: 3, expect: 1 },
        { key: "k", value: 4, expect: 1 },
        { key: "new", value: 5, expect: 0 },
        { key: "absent", value: 6, expect: 1 },
        { key: "k", value: undefined, expect: 7 },
      ]);
      assert.deepEqual(done, [false, true, false, true, false, false]);
      assert.deepEqual(await values(state, ["k", "new", "absent"]), [3, 5, undefined]);
    },
  ],
  [
    "all: one mismatch, and nothing is written",
    async ({ state }) => {
      await state.each([put("k", 1)]);
      assert.equal(await state.all([put("a", 1), { key: "k", value: 2, expect: 9 }]), false);
      assert.deepEqual(await values(state, ["a", "k"]), [undefined, 1]);
      assert.equal(await state.all([put("a", 1), { key: "k", value: 2, expect: 1 }]), true);
      assert.deepEqual(await values(state, ["a", "k"]), [1, 2]);
    },
  ],
  [
    "of many who expect the same revision, one wins",
    async ({ state }, other) => {
      const races = Array.from({ length: 20 }, (_, at) =>
        (at % 2 ? state : other.state).all([{ key: "k", value: at, expect: 0 }]),
      );
      assert.equal((await Promise.all(races)).filter(Boolean).length, 1);
    },
  ],
  [
    "an entry with a time to live is gone by itself, as if deleted",
    async ({ state }) => {
      await state.each([{ key: "t/k", value: 1, ttlMs: 150 }, put("t/stays", 1)]);
      assert.deepEqual(await values(state, ["t/k"]), [1]);
      await until(async () => (await state.get(["t/k"]))[0] === undefined);
      assert.deepEqual(await keys(state, "t/"), ["t/stays"]);
      assert.deepEqual(await state.each([{ key: "t/k", value: 2, expect: 0 }]), [true]);
      assert.equal(await revision(state, "t/k"), 1);
    },
  ],
  [
    "a write without a time to live makes the entry stay",
    async ({ state }) => {
      await state.each([{ key: "k", value: 1, ttlMs: 100 }]);
      await state.each([{ key: "other", value: 1, ttlMs: 100 }, put("k", 2)]);
      await until(async () => (await state.get(["other"]))[0] === undefined);
      assert.deepEqual(await values(state, ["k"]), [2]);
    },
  ],
  [
    "scan goes in order of the keys' UTF-8 bytes, whatever the page size",
    async ({ state }) => {
      // By UTF-16 units the emoji would come before U+FFFF, by locale "B" after "a".
      const sorted = ["a", "a!", "a\u{10FFFF}", "a~", "aB", "aa", "a\u{FFFF}", "aé", "a\u{1F600}"]
        .map((key) => Buffer.from(key))
        .toSorted((a, b) => Buffer.compare(a, b))
        .map(String);
      await state.each(sorted.toReversed().map((key) => put(key, key)));
      for (const pageSize of [1, 2, 4, 100]) {
        const pages = await pagesOf(state, "a", { pageSize });
        assert.deepEqual(
          pages.flat().map(({ key }) => key),
          sorted,
        );
        assert.ok(pages.every((page) => page.length <= pageSize));
      }
      for (const [at, after] of sorted.entries())
        assert.deepEqual(await keys(state, "a", { after }), sorted.slice(at + 1));
    },
  ],
  [
    "scan gives what starts with the prefix, and nothing else",
    async ({ state }) => {
      const all = [
        "",
        "m",
        "m/",
        "m/a",
        "m/a/b",
        "m/ab",
        "m0",
        "n",
        "~",
        "\u{10FFFF}",
        "\u{10FFFF}x",
      ];
      await state.each(all.map((key) => put(`x${key}`, 1)));
      for (const prefix of ["x", "xm", "xm/", "xm/a", "xm/a/", "x\u{10FFFF}", "xnone"])
        assert.deepEqual(
          await keys(state, prefix, { pageSize: 2 }),
          all.map((key) => `x${key}`).filter((key) => key.startsWith(prefix)),
          prefix,
        );
      assert.deepEqual(await keys(state, "xm/", { after: "a" }), [
        "xm/",
        "xm/a",
        "xm/a/b",
        "xm/ab",
      ]);
      assert.deepEqual(await keys(state, "xm/", { after: "xz" }), []);
    },
  ],
  [
    "scan goes on over as many pages as there are",
    async ({ state }) => {
      const all = Array.from({ length: 1_250 }, (_, at) => `k${10_000 + at}`);
      await state.each(all.map((key) => put(key, key)));
      assert.deepEqual(await keys(state, "k"), all);
      assert.deepEqual((await values(state, all)).length, 1_250);
    },
  ],
  [
    "counts the keys with a prefix, as they are now",
    async ({ state, count }, other) => {
      assert.equal(await count("l/"), 0);
      await state.each(["l", "l/a", "l/b", "l/\u{10FFFF}", "l0", "m"].map((key) => put(key, 1)));
      for (const counted of [count, other.count]) assert.equal(await counted("l/"), 3);
      await other.state.each([{ key: "l/b", value: undefined }]);
      assert.equal(await count("l/"), 2);
    },
  ],
  [
    "scan lives with writes between its pages",
    async ({ state }) => {
      await state.each(Array.from({ length: 50 }, (_, at) => put(`k${100 + at}`, at)));
      const seen: string[] = [];
      for await (const page of state.scan("k", { pageSize: 10 })) {
        seen.push(...page.map(({ key }) => key));
        await state.each(page.map(({ key }) => put(key, undefined)));
      }
      assert.equal(seen.length, 50);
      assert.deepEqual(await keys(state, "k"), []);
    },
  ],
  [
    "connectors do not see each other, even where one's name begins another's",
    async ({ state }, _other, place) => {
      const [a, b] = [place.scope("owner").state, place.scope("owner/k").state];
      await a.each([put("k/x", "a")]);
      await b.each([put("x", "b")]);
      assert.deepEqual(await keys(a, ""), ["k/x"]);
      assert.deepEqual(await keys(b, ""), ["x"]);
      assert.deepEqual(await keys(state, ""), []);
    },
  ],
  [
    "a lease has one holder; released, it is free at once and not inherited",
    async ({ leases }, other) => {
      const lease = await acquire(leases, "l");
      assert.equal(await other.leases.acquire("l", ttlMs), undefined);
      assert.equal(await leases.acquire("l", ttlMs), undefined);
      assert.equal(lease.inherited, false);
      await lease.release();
      assert.ok(lease.signal.aborted);
      const next = await acquire(other.leases, "l");
      assert.ok(next.token > lease.token);
      assert.equal(next.inherited, false);
      await lease.release();
      assert.equal(await leases.acquire("l", ttlMs), undefined, "a second release takes nothing");
      await next.release();
    },
  ],
  [
    "leases of different names and connectors are different leases",
    async ({ leases }, _other, place) => {
      const held = [
        await acquire(leases, "a"),
        await acquire(leases, "b"),
        await acquire(place.scope("other-owner").leases, "a"),
      ];
      for (const lease of held) await lease.release();
    },
  ],
  [
    "a held lease is renewed: it outlives its time to live",
    async ({ leases }, other) => {
      const lease = await acquire(leases, "l");
      const first = lease.until();
      await until(async () => lease.until() > first + ttlMs);
      assert.equal(lease.signal.aborted, false);
      assert.equal(await other.leases.acquire("l", ttlMs), undefined);
      await lease.release();
    },
  ],
  [
    "a lease whose holder stood still is taken over: inherited, with a higher token; the old one ends",
    async ({ state, leases }, other) => {
      const old = await acquire(leases, "l", 100);
      standStill(160);
      const next = await acquire(other.leases, "l");
      assert.ok(next.inherited);
      assert.ok(next.token > old.token);
      if (!old.signal.aborted) await once(old.signal, "abort");
      assert.ok(old.until() <= performance.now());
      await old.release();
      assert.equal(await leases.acquire("l", ttlMs), undefined, "the old holder releases nothing");
      await assert.rejects(state.each([put("k", 1)], old), FencedError);
      await next.release();
    },
  ],
  [
    "an old token is refused by each and by all, and nothing is written",
    async ({ state, leases }, other) => {
      const old = await acquire(leases, "l");
      await state.each([put("k", "old")], old);
      await old.release();
      const next = await acquire(other.leases, "l");
      await assert.rejects(state.each([put("k", 1), put("a", 1)], old), FencedError);
      await assert.rejects(state.all([put("k", 1), put("a", 1)], old), FencedError);
      assert.deepEqual(await values(state, ["k", "a"]), ["old", undefined]);
      assert.deepEqual(await other.state.each([put("k", "new")], next), [true]);
      assert.equal(await other.state.all([put("a", "new")], next), true);
      await next.release();
    },
  ],
  [
    "a token that was never given is refused, the newest is good after its release",
    async ({ state, leases }) => {
      await assert.rejects(state.each([put("k", 1)], { lease: "never", token: 1 }), FencedError);
      const lease = await acquire(leases, "l");
      const ahead = { lease: "l", token: lease.token + 1 };
      await assert.rejects(state.all([put("k", 1)], ahead), FencedError);
      await lease.release();
      assert.deepEqual(await state.each([put("k", 1)], lease), [true]);
    },
  ],
  [
    "of many who ask for a lease at once, one gets it",
    async ({ leases }, other) => {
      const asked = Array.from({ length: 10 }, (_, at) =>
        (at % 2 ? leases : other.leases).acquire("l", ttlMs),
      );
      const got = (await Promise.all(asked)).filter((lease) => lease !== undefined);
      assert.equal(got.length, 1);
      for (const lease of got) await lease.release();
    },
  ],
];

function put(key: string, value: unknown) {
  return { key, value: value as Entry["value"] | undefined };
}

async function values(state: StateStore, wanted: readonly string[]): Promise<unknown[]> {
  return (await state.get(wanted)).map((entry) => entry?.value);
}

async function revision(state: StateStore, key: string): Promise<number | undefined> {
  return (await state.get([key]))[0]?.revision;
}

type Options = Parameters<StateStore["scan"]>[1];

async function pagesOf(state: StateStore, prefix: string, options?: Options) {
  const pages: (readonly Entry[])[] = [];
  for await (const page of state.scan(prefix, options)) pages.push(page);
  return pages;
}

async function keys(state: StateStore, prefix: string, options?: Options): Promise<string[]> {
  return (await pagesOf(state, prefix, options)).flat().map(({ key }) => key);
}

async function acquire(leases: Scope["leases"], name: string, ms = ttlMs): Promise<Lease> {
  const lease = await leases.acquire(name, ms);
  assert.ok(lease, `the lease "${name}" is free`);
  return lease;
}

/** Blocks the event loop, as a long computation or a stopped machine does. */
function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, "it did not happen within 5 s");
    await sleep(10);
  }
}
