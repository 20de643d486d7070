import { describe, expect, it } from "vitest";
import { cleared, type Vector, type VectorStore } from "sluice";
import { fakes } from "sluice/testing";
import { assertEqualsOracle, at, doc, gone, idsOf, namespace, source, world } from "./harness.ts";
import { rewindableState } from "./rewindable-state.test.data.ts";

const run = fakes.writeRun;
const quiet = { namespace, signal: new AbortController().signal };
const paragraphs = (count: number, name = "p") =>
  Array.from({ length: count }, (_, n) => `${name} paragraph number ${n} says ${n * 7}`);
const all = (version: number, count = 30) =>
  Array.from({ length: count }, (_, n) => doc(`d${n}`, paragraphs(3, `d${n}`), at(version)));
const sweep = (below: number) =>
  cleared({ source, below: at(below), reason: "sweep", time: "2026-01-01T00:00:00Z", meta: {} });

/** Counts the readings of the index. */
function counting(store: VectorStore): {
  readonly store: VectorStore;
  readonly lists: () => number;
} {
  let lists = 0;
  return {
    store: { ...store, list: (...given) => ((lists += 1), store.list(...given)) },
    lists: () => lists,
  };
}

describe("an index that was emptied behind our back", () => {
  it("is filled again, without embedding and without listing", async () => {
    const here = await world();
    await here.open().write(all(1), run());
    await here.store.remove(
      here.store.dump(namespace).map(({ id }) => id),
      quiet,
    );
    here.embedded();
    const { store, lists } = counting(here.store);
    await here.open({ store }).write(all(1), run());
    expect(here.embedded()).toBe(0);
    expect(lists()).toBe(2);
    await assertEqualsOracle(here.store, all(1));
    here.written();
    await here.open().write(all(1), run());
    expect(here.written()).toBe(0);
  });

  it("is told from one that is only behind", async () => {
    const here = await world();
    await here.open().write(all(1), run());
    here.store.seeUpTo(0n);
    const writing = here.open().write([doc("e", ["more"], at(1))], run());
    await expect.poll(() => here.store.writes.at(-1)).toMatchObject({ op: "remove", ids: ["#"] });
    here.store.seeUpTo(undefined);
    await writing;
    here.written();
    await here.open().write(all(1), run());
    expect(here.written()).toBe(0);
  });
});

it("another index under the same connector is filled, whatever it holds", async () => {
  const here = await world();
  const there = await world();
  await here.open().write(all(1), run());
  await there.open().write([...all(1, 10), doc("foreign", ["of another sink"], at(1))], run());
  const writer = here.open({ store: there.store, target: "other" });
  await writer.write(all(2), run());
  await writer.write([sweep(2)], run());
  await assertEqualsOracle(there.store, all(2));
});

describe("when state was lost", () => {
  it("documents that did not change cost no embedding and no write", async () => {
    const here = await world();
    await here.open().write(all(1), run());
    here.embedded();
    here.written();
    const writer = here.open({ state: fakes.state().state });
    await writer.write(all(2), run());
    expect(here.embedded()).toBe(0);
    // One that changes nothing: it tells how far the index has come.
    expect(here.written()).toBe(1);
    await assertEqualsOracle(here.store, all(2));
  });

  it("edits, deletes and sweeps find what the index holds, in any version", async () => {
    const here = await world();
    const before = [...all(9), doc("long", paragraphs(250, "long"), at(9))];
    await here.open().write(before, run());
    const writer = here.open({ state: fakes.state().state, maxDeleteRatio: 1 });
    // Versions may start anew with the state.
    const edited = doc("d1", ["other"], at(1));
    await writer.write([edited, gone("d2", at(1)), gone("unknown", at(1))], run());
    const seen = all(2, 20).filter(({ subject }) => subject !== "d1" && subject !== "d2");
    await writer.write(seen, run());
    await writer.write([doc("d1", ["other"], at(2)), sweep(2)].slice(0, 1), run());
    await writer.write([sweep(2)], run());
    await assertEqualsOracle(here.store, [...seen, doc("d1", ["other"], at(2))]);
  });

  it("in a running process, it is noticed", async () => {
    const here = await world();
    const { state, mark } = rewindableState();
    const back = mark();
    const writer = here.open({ state, maxDeleteRatio: 1 });
    await writer.write(all(1), run());
    back();
    await writer.write([gone("d1", at(2)), doc("d2", ["other"], at(2))], run());
    await writer.write([sweep(2)], run());
    await assertEqualsOracle(here.store, [doc("d2", ["other"], at(2))]);
  });

  it("an index that is behind is waited for before it is believed", async () => {
    const here = await world();
    await here.open().write(all(1), run());
    here.store.seeUpTo(1n);
    const writer = here.open({ state: fakes.state().state });
    const writing = writer.write([gone("d29", at(2)), doc("d28", ["other"], at(2))], run());
    await expect.poll(() => here.store.writes.at(-1)).toMatchObject({ op: "remove", ids: ["#"] });
    here.store.seeUpTo(undefined);
    await writing;
    await assertEqualsOracle(here.store, [...all(1, 28), doc("d28", ["other"], at(2))]);
  });
});

describe("when state went back", () => {
  const first = doc("d", ["one", "two"], at(1));
  const second = doc("d", ["one", "between"], at(2));
  const third = doc("d", ["one", "three"], at(3));

  for (const [who, isSame] of Object.entries({ "the same process": true, "a new one": false }))
    it(`nothing of a version that was coalesced away stays, in ${who}`, async () => {
      const here = await world();
      const { state, mark } = rewindableState();
      const writer = here.open({ state });
      await writer.write([first], run());
      const back = mark();
      await writer.write([second], run());
      back();
      await (isSame ? writer : here.open({ state })).write([third], run());
      await assertEqualsOracle(here.store, [third]);
    });

  it("metadata that changed and changed back is right", async () => {
    const here = await world();
    const { state, mark } = rewindableState();
    const writer = here.open({ state });
    const tagged = (tag: string, version: number) =>
      doc("d", paragraphs(5), at(version), { metadata: { tag } });
    await writer.write([tagged("a", 1)], run());
    const back = mark();
    await writer.write([tagged("b", 2)], run());
    back();
    await writer.write([tagged("a", 3)], run());
    await assertEqualsOracle(here.store, [tagged("a", 3)]);
  });

  for (const [what, last] of [
    ["changed", doc("d", ["three"], at(3))],
    ["deleted", gone("d", at(3))],
  ] as const)
    it(`nothing of a document whose first version state has forgotten stays, once it is ${what}`, async () => {
      const here = await world();
      const { state, mark } = rewindableState();
      const writer = here.open({ state });
      await writer.write([doc("e", ["e"], at(1))], run());
      const back = mark();
      await writer.write([first], run());
      back();
      await writer.write([doc("e", ["e2"], at(2)), last], run());
      const left = what === "changed" ? [doc("d", ["three"], at(3))] : [];
      await assertEqualsOracle(here.store, [...left, doc("e", ["e2"], at(2))]);
    });

  it("each lease finds it for itself, at the same moment too", async () => {
    const here = await world();
    const { state, mark } = rewindableState();
    const writer = here.open({ state });
    const partitions = ["p0", "p1"].map((lease) => () => run({ fence: { lease, token: 1 } }));
    const write = (version: number, texts: readonly string[]) =>
      Promise.all(
        partitions.map((run, at_) =>
          writer.write([doc(`d${at_}`, [...texts, `of ${at_}`], at(version))], run()),
        ),
      );
    await write(1, ["one"]);
    const back = mark();
    await write(2, ["between"]);
    back();
    await write(3, ["three"]);
    await assertEqualsOracle(
      here.store,
      [0, 1].map((at_) => doc(`d${at_}`, ["three", `of ${at_}`], at(3))),
    );
  });

  it("what is not affected is compared once, and not written", async () => {
    const here = await world();
    const { state, mark } = rewindableState();
    const writer = here.open({ state });
    await writer.write(all(1), run());
    const back = mark();
    await writer.write([doc("d0", ["lost"], at(2))], run());
    back();
    await writer.write([doc("d0", ["found"], at(3))], run());
    here.written();
    const { store, lists } = counting(here.store);
    const next = here.open({ state, store });
    await next.write(all(1).slice(1), run());
    await next.write(all(2).slice(1), run());
    expect(here.written()).toBe(0);
    expect(lists()).toBe(1 + 29);
    await assertEqualsOracle(here.store, [doc("d0", ["found"], at(3)), ...all(2).slice(1)]);
  });
});

describe("after a take-over", () => {
  /** What a worker that lost its lease had on the wire, and that arrives now. */
  const late = (here: Awaited<ReturnType<typeof world>>) => ({
    upsert: (vectors: readonly Vector[]) => here.store.upsert(vectors, quiet),
    remove: (ids: readonly string[]) => here.store.remove(ids, quiet),
  });

  it("a request that arrives late is undone: old chunks go, removed ones come back", async () => {
    const here = await world();
    await here.open().write([doc("d", ["one", "two"], at(1)), doc("e", ["e"], at(1))], run());
    const old = here.store.dump(namespace);
    const after = doc("d", ["three", "four"], at(2));
    const { upsert, remove } = late(here);
    let isLate = true;
    const store = {
      ...here.store,
      // The new owner's own last write; behind it, the dead one's.
      remove: async (ids: readonly string[], to: typeof quiet) => {
        const done = await here.store.remove(ids, to);
        if (!isLate || ids.includes("#")) return done;
        isLate = false;
        await upsert(old);
        await remove(idsOf(after).slice(0, 1));
        return done;
      },
    };
    here.embedded();
    await here.open({ store }).write([after, gone("e", at(2))], run({ redelivered: true }));
    expect(here.embedded()).toBe(2);
    await assertEqualsOracle(here.store, [after]);
    expect(here.counters.get("redelivered_mended")).toBe(2);
  });

  it("metadata that a late request put back is overwritten", async () => {
    const here = await world();
    const tagged = (tag: string, version: number) =>
      doc("d", paragraphs(5), at(version), { metadata: { tag } });
    await here.open().write([tagged("old", 1)], run());
    const old = here.store.dump(namespace);
    let isLate = true;
    const store = {
      ...here.store,
      upsert: async (vectors: readonly Vector[], to: typeof quiet) => {
        const done = await here.store.upsert(vectors, to);
        if (isLate) await late(here).upsert(old);
        isLate = false;
        return done;
      },
    };
    await here.open({ store }).write([tagged("new", 2)], run({ redelivered: true }));
    await assertEqualsOracle(here.store, [tagged("new", 2)]);
  });

  it("what an older event's worker left is removed, though the event itself is stale", async () => {
    const here = await world();
    await here.open().write([doc("d", ["old"], at(1))], run());
    const old = here.store.dump(namespace);
    const newest = doc("d", ["new"], at(2));
    await here.open().write([newest], run());
    await late(here).upsert(old);
    await here.open().write([doc("d", ["old"], at(1))], run({ redelivered: true }));
    await assertEqualsOracle(here.store, [newest]);
  });

  it("where nothing came late, it costs readings only", async () => {
    const here = await world();
    await here.open().write(all(1), run());
    here.written();
    await here.open().write(all(1), run({ redelivered: true }));
    expect(here.written()).toBe(1);
    expect(here.counters.get("redelivered_mended")).toBeUndefined();
  });
});
