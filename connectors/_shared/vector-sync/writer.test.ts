import assert from "node:assert/strict";
import { describe, expect, it } from "vitest";
import {
  cleared,
  ConfigError,
  FencedError,
  inScope,
  PartialError,
  PoisonError,
  RetryableError,
  type DocumentUpserted,
  type Embedder,
  type SluiceEvent,
} from "sluice";
import { fakes } from "sluice/testing";
import {
  assertEqualsOracle,
  assertNeverEmpty,
  at,
  contentOf,
  doc,
  gone,
  idsOf,
  namespace,
  random,
  source,
  world,
} from "./harness.ts";
import { checkIndex } from "./check-index.ts";
import { docKeyOf } from "./doc-key.ts";

const run = fakes.writeRun;

const paragraphs = (count: number, name = "p") =>
  Array.from({ length: count }, (_, at) => `${name} paragraph number ${at} says ${at * 7}`);

async function failuresOf(writing: Promise<void>) {
  const error = await writing.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof PartialError, String(error));
  return error.failures;
}

describe("an unchanged document", () => {
  const next = random(1);
  const documents = (epoch: number) =>
    Array.from({ length: 500 }, (_, n) =>
      doc(`d${n}`, paragraphs(1 + (n % 12), `d${n}`), at(n + 1, epoch)),
    );

  it("costs no embedding and no write, in any batch size, after a restart and in a new epoch", async () => {
    const here = await world();
    await here.open().write(documents(1), run());
    expect(here.embedded()).toBeGreaterThan(2_000);
    expect(here.written()).toBeGreaterThan(0);
    for (const size of [1, 2, 7, 100]) {
      const writer = here.open();
      const all = documents(1).toSorted(() => next() - 0.5);
      for (let from = 0; from < all.length; from += size)
        await writer.write(all.slice(from, from + size), run());
    }
    await here.open().write(documents(2), run());
    expect([here.embedded(), here.written()]).toEqual([0, 0]);
    expect(here.counters.get("stale_dropped")).toBeUndefined();
  });
});

describe("one edit in 100 chunks", () => {
  for (const [place, index] of Object.entries({ first: 0, middle: 50, last: 99 }))
    it(`in the ${place} one touches that chunk only`, async () => {
      const here = await world();
      const writer = here.open();
      const texts = paragraphs(100);
      const before = doc("d", texts, at(1));
      await writer.write([before], run());
      const old = new Map(here.store.dump(namespace).map((vector) => [vector.id, vector]));
      here.embedded();
      const from = here.store.writes.length;
      const after = doc("d", texts.with(index, "an edited paragraph"), at(2));
      await writer.write([after], run());
      expect(here.embedded()).toBe(1);
      const dump = here.store.dump(namespace);
      const untouched = dump.filter((vector) => old.get(vector.id) === vector);
      expect(dump).toHaveLength(100);
      expect(untouched).toHaveLength(99);
      expect(here.store.writes.slice(from).map(({ op }) => op)).toEqual(["upsert", "remove"]);
      assertNeverEmpty(here.store, from, [{ before, after }]);
      await assertEqualsOracle(here.store, [after]);
    });
});

it("a paragraph inserted at the top embeds once, its removal not at all", async () => {
  const here = await world();
  const writer = here.open();
  const texts = paragraphs(100);
  await writer.write([doc("d", texts, at(1))], run());
  here.embedded();
  here.written();
  await writer.write([doc("d", ["a new beginning", ...texts], at(2))], run());
  expect([here.embedded(), here.written()]).toEqual([1, 1]);
  const last = doc("d", texts, at(3));
  await writer.write([last], run());
  expect([here.embedded(), here.written()]).toEqual([0, 1]);
  await assertEqualsOracle(here.store, [last]);
});

it("a document that shrinks leaves nothing behind and others alone", async () => {
  const here = await world({ maxVectors: 7, maxDeleteIds: 5 });
  const writer = here.open();
  const others = ["a", "b", "c"].map((name) => doc(name, paragraphs(4, name), at(1)));
  const before = doc("d", paragraphs(50), at(1));
  await writer.write([...others, before], run());
  const from = here.store.writes.length;
  const after = doc("d", paragraphs(3, "short"), at(2));
  await writer.write([after], run());
  assertNeverEmpty(here.store, from, [{ before, after }]);
  await assertEqualsOracle(here.store, [...others, after]);
  await writer.write([doc("d", [], at(3))], run());
  await assertEqualsOracle(here.store, others);
});

it("keys that look alike never touch each other's vectors", async () => {
  const here = await world();
  const keys = [
    ..."1 10 100 1# 1:0 %31 % ~ 😀 é".split(" "),
    " ",
    "\n",
    "x".repeat(600),
    "x".repeat(601),
    "é".repeat(300),
    '["a","b:c"]',
    '["a:b","c"]',
    '["a,b"]',
    '["a","b"]',
  ];
  const places = ["/postgres/shop/a", "/postgres/shop/a:1", "/s3/b"];
  const all = places.flatMap((source) =>
    keys.map((key) => doc(key, ["one text", "another"], at(1), { source })),
  );
  const writer = here.open();
  await writer.write(all, run());
  const keysMade = all.map((one) => docKeyOf(one.source, one.subject));
  expect(new Set(keysMade).size).toBe(all.length);
  for (const key of keysMade) expect(key).toMatch(/^[\x21-\x7e]{1,200}$/);
  for (const [index, one] of all.entries()) {
    const before = new Set(here.store.dump(namespace).map(({ id }) => id));
    await writer.write([gone(one.subject, at(2), one.source)], run());
    const after = new Set(here.store.dump(namespace).map(({ id }) => id));
    expect([...before].filter((id) => !after.has(id)).toSorted()).toEqual(idsOf(one).toSorted());
    expect(after.size).toBe((all.length - index - 1) * 2);
  }
});

describe("versions", () => {
  it("an older version changes nothing and is counted", async () => {
    const here = await world();
    const writer = here.open();
    const newest = doc("d", ["new"], at(5));
    await writer.write([newest], run());
    await writer.write([doc("d", ["old"], at(4))], run());
    await writer.write([gone("d", at(3))], run());
    expect(here.counters.get("stale_dropped")).toBe(2);
    await assertEqualsOracle(here.store, [newest]);
  });

  it("an equal version with other content: the later arrival wins", async () => {
    const here = await world();
    const writer = here.open();
    await writer.write([doc("d", ["first"], at(5))], run());
    const later = doc("d", ["second"], at(5));
    await writer.write([later], run());
    await assertEqualsOracle(here.store, [later]);
  });

  it("a deleted document comes back by a newer version only, until its tombstone ends", async () => {
    const here = await world();
    const writer = here.open({ tombstoneMs: 60_000 });
    await writer.write([doc("d", ["text"], at(1))], run());
    await writer.write([gone("d", at(5))], run());
    await writer.write([gone("never seen", at(5))], run());
    await writer.write([doc("d", ["late"], at(4)), doc("never seen", ["late"], at(4))], run());
    await assertEqualsOracle(here.store, []);
    expect(here.counters.get("stale_dropped")).toBe(2);
    const again = doc("d", ["text"], at(6));
    await writer.write([again], run());
    await assertEqualsOracle(here.store, [again]);
    here.advance(60_001);
    const [living] = await here.state.get([`m/${docKeyOf(source, "d")}#`]);
    expect(living?.value).toMatchObject({ state: "live" });
    const forgotten = doc("never seen", ["late"], at(4));
    await writer.write([forgotten], run());
    await assertEqualsOracle(here.store, [again, forgotten]);
  });

  it("repeated and reordered at random end at the newest", async () => {
    const next = random(7);
    const pick = (most: number) => Math.floor(next() * most);
    const here = await world({ maxVectors: 5, maxDeleteIds: 3 });
    const words = paragraphs(12, "w");
    const sent: (DocumentUpserted | ReturnType<typeof gone>)[] = [];
    const newest = new Map<string, (typeof sent)[number]>();
    for (let round = 1; round <= 200; round++) {
      const writer = here.open();
      const batch = new Map<string, (typeof sent)[number]>();
      for (let n = pick(6); n >= 0; n--) {
        const subject = `d${pick(8)}`;
        const texts = words.filter(() => next() < 0.4);
        const fresh =
          next() < 0.25
            ? gone(subject, at(round))
            : doc(subject, texts, at(round), { metadata: { turn: pick(3) } });
        const event = sent.length > 0 && next() < 0.4 ? (sent[pick(sent.length)] ?? fresh) : fresh;
        if (!batch.has(event.subject)) batch.set(event.subject, event);
      }
      const before = new Map(newest);
      for (const event of batch.values()) {
        sent.push(event);
        const held = newest.get(event.subject);
        if (held === undefined || event.sequence >= held.sequence) newest.set(event.subject, event);
      }
      const from = here.store.writes.length;
      await writer.write([...batch.values()], run({ redelivered: next() < 0.5 }));
      const changes = [...newest].map(([subject, after]) => ({
        before: before.get(subject),
        after,
      }));
      assertNeverEmpty(
        here.store,
        from,
        changes.filter(
          (change): change is { before: DocumentUpserted; after: DocumentUpserted } =>
            isDocument(change.before) && isDocument(change.after),
        ),
      );
    }
    await assertEqualsOracle(here.store, [...newest.values()].filter(isDocument));
    expect(here.counters.get("stale_dropped")).toBeGreaterThan(20);
  });
});

function isDocument(event: SluiceEvent | undefined): event is DocumentUpserted {
  return event?.type === "dev.sluice.document.upserted";
}

describe("metadata", () => {
  const first = doc("d", paragraphs(20), at(1), { metadata: { tag: "a", gone: "soon" } });
  const second = doc("d", paragraphs(20), at(2), { metadata: { tag: "b" } });

  for (const [from, options] of Object.entries({
    "the cache": {},
    "the index, without a cache": { vectorCacheBytes: 0 },
  }))
    it(`that changed alone is rewritten with the vectors of ${from}: nothing is embedded`, async () => {
      const here = await world({ maxFetchIds: 6 });
      const writer = here.open(options);
      await writer.write([first], run());
      here.embedded();
      await writer.write([second], run());
      expect(here.embedded()).toBe(0);
      expect(here.counters.get("vectors_written{kind=meta}")).toBe(20);
      await assertEqualsOracle(here.store, [second]);
    });

  it("is not rewritten with a vector that somebody else put there", async () => {
    const here = await world();
    const writer = here.open({ vectorCacheBytes: 0 });
    await writer.write([first], run());
    const foreign = here.store.dump(namespace).map((vector) => ({
      ...vector,
      values: vector.values.map((value) => -value),
      metadata: { _doc: String(vector.metadata["_doc"]) },
    }));
    await here.store.upsert(foreign, { namespace, signal: new AbortController().signal });
    await writer.write([second], run());
    await assertEqualsOracle(here.store, [second]);
  });

  it("carries who wrote a chunk, at which version, with which model", async () => {
    const here = await world();
    const writer = here.open();
    await writer.write([doc("d", ["one", "two"], at(1))], run());
    await writer.write([doc("d", ["one", "three"], at(2))], run());
    const byText = new Map(
      here.store.dump(namespace).map(({ metadata }) => [metadata["text"], metadata]),
    );
    expect(byText.get("one")).toMatchObject({ _doc: docKeyOf(source, "d"), _v: at(1) });
    expect(byText.get("three")).toMatchObject({ _src: source, _subject: "d", _v: at(2) });
    expect(byText.get("one")?.["_m"]).toMatch(/^[0-9a-f]{16}$/);
    expect(byText.get("one")?.["_h"]).toMatch(/^[0-9a-f]{16}$/);
  });

  it("that is far too large is trimmed, and a second run writes nothing", async () => {
    const here = await world();
    const embedder: Embedder = {
      ...here.embedder,
      embed: (texts, options) =>
        here.embedder.embed(
          texts.map((text) => text.slice(0, 99)),
          options,
        ),
    };
    const writer = here.open({ embedder });
    const big = (epoch: number) =>
      doc("d", ["é😀".repeat(30_000), "small"], at(1, epoch), {
        metadata: { tag: "kept", huge: "x".repeat(50_000) },
      });
    await writer.write([big(1)], run());
    expect(here.counters.get("metadata_dropped")).toBe(3);
    here.written();
    await writer.write([big(2)], run());
    expect(here.written()).toBe(0);
  });
});

it("a changed heading embeds again under the same id", async () => {
  const here = await world();
  const writer = here.open();
  await writer.write([doc("d", [{ text: "body", context: "Old" }, "other"], at(1))], run());
  here.embedded();
  const after = doc("d", [{ text: "body", context: "New" }, "other"], at(2));
  await writer.write([after], run());
  expect(here.embedded()).toBe(1);
  expect(here.counters.get("vectors_written{kind=reembed}")).toBe(1);
  await assertEqualsOracle(here.store, [after]);
});

describe("embedding", () => {
  it("asks once for equal texts of a batch, in calls the embedder can take", async () => {
    const here = await world();
    const calls: number[] = [];
    const embedder: Embedder = {
      ...here.embedder,
      maxTexts: 10,
      maxTokensPerRequest: 40,
      embed: (texts, options) => {
        calls.push(texts.length);
        assert.ok(texts.reduce((sum, text) => sum + embedder.countTokens(text), 0) <= 40);
        return here.embedder.embed(texts, options);
      },
    };
    const all = Array.from({ length: 30 }, (_, n) => doc(`d${n}`, ["shared", `own ${n}`], at(1)));
    let upserts = 0;
    const store = {
      ...here.store,
      upsert: (...given: Parameters<typeof here.store.upsert>) => {
        upserts += 1;
        return here.store.upsert(...given);
      },
    };
    await here.open({ embedder, store }).write(all, run());
    expect(here.embedded()).toBe(31);
    expect(calls.length).toBeGreaterThan(3);
    expect(here.counters.get("embed_calls")).toBe(calls.length);
    expect(upserts).toBeGreaterThan(0);
    expect(here.counters.get("upsert_calls")).toBe(upserts);
    await assertEqualsOracle(here.store, all);
  });

  it("a key change, or a second index, embeds nothing while the cache holds the texts", async () => {
    const here = await world();
    const writer = here.open();
    await writer.write([doc("old", paragraphs(20), at(1))], run());
    here.embedded();
    const after = doc("new", paragraphs(20), at(2));
    await writer.write([after, gone("old", at(2))], run());
    expect(here.embedded()).toBe(0);
    expect(here.counters.get("vector_cache_hits")).toBe(20);
    await assertEqualsOracle(here.store, [after]);
  });

  it("takes vectors that came with the event, of our model only", async () => {
    const here = await world();
    const { embedKeyOf } = await import("./content-hash.ts");
    const vector = Buffer.from(new Float32Array(64).fill(0.5).buffer).toString("base64");
    const ours = embedKeyOf(here.embedder.fingerprint, "given");
    await here
      .open()
      .write(
        [
          doc("d", [{ text: "given", vector, embedKey: ours }], at(1)),
          doc("e", [{ text: "foreign", vector, embedKey: "other" }], at(1)),
        ],
        run(),
      );
    expect(here.embedded()).toBe(1);
    expect(here.store.dump(namespace).map(({ values }) => values[0] === 0.5)).toEqual([
      true,
      false,
    ]);
  });

  it("that fails changes nothing, and what was paid for is kept", async () => {
    const here = await world();
    await here.open().write([doc("d", paragraphs(5), at(1))], run());
    const before = contentOf(here.store);
    here.embedded();
    const throttled: Embedder = {
      ...here.embedder,
      maxTexts: 4,
      embed: async (texts, options) => {
        if (texts.some((text) => text.includes("number 9")))
          throw new RetryableError("test: slow down.", {
            code: "test.throttled",
            reason: "throttled",
          });
        return here.embedder.embed(texts, options);
      },
    };
    const after = doc("d", paragraphs(10, "new"), at(2));
    await expect(here.open({ embedder: throttled }).write([after], run())).rejects.toThrow(
      RetryableError,
    );
    expect(contentOf(here.store)).toEqual(before);
    expect(here.embedded()).toBe(8);
    await here.open().write([after], run());
    expect(here.embedded()).toBe(2);
    await assertEqualsOracle(here.store, [after]);
  });

  it("refuses one text: its documents fail and keep what they had, the others are written", async () => {
    const here = await world();
    const writer = here.open();
    const tooLong = "word ".repeat(600);
    const kept = doc("d3", ["fine"], at(1));
    await writer.write([kept], run());
    const all = Array.from({ length: 20 }, (_, n) =>
      doc(`d${n}`, n === 3 ? ["new", tooLong] : [`text ${n}`], at(2)),
    );
    const failures = await failuresOf(writer.write(all, run()));
    expect([...failures.keys()]).toEqual([3]);
    expect(failures.get(3)).toBeInstanceOf(PoisonError);
    await assertEqualsOracle(
      here.store,
      all.map((one, n) => (n === 3 ? kept : one)),
    );
  });
});

describe("a vector the index refuses", () => {
  it("fails its document alone, found by halving; the document keeps its old chunks", async () => {
    const here = await world({ maxVectors: 16 });
    const writer = here.open();
    const old = doc("d7", paragraphs(4, "old"), at(1));
    await writer.write([old], run());
    const all = Array.from({ length: 40 }, (_, n) => doc(`d${n}`, [`a ${n}`, `b ${n}`], at(2)));
    const bad = idsOf(all[7] ?? old)[1] ?? "";
    here.store.poison(bad);
    const failures = await failuresOf(writer.write(all, run()));
    expect([...failures.keys()]).toEqual([7]);
    await assertEqualsOracle(
      here.store,
      all.map((one, n) => (n === 7 ? old : one)),
    );
    const mended = doc("d7", ["mended"], at(3));
    await writer.write([mended], run());
    await assertEqualsOracle(
      here.store,
      all.map((one, n) => (n === 7 ? mended : one)),
    );
  });

  it("takes its whole document back, a new one without a trace", async () => {
    const here = await world({ maxVectors: 2 });
    const writer = here.open();
    const bad = doc("d", paragraphs(9), at(1));
    here.store.poison(idsOf(bad)[8] ?? "");
    const other = doc("e", paragraphs(3, "e"), at(1));
    const failures = await failuresOf(writer.write([bad, other], run()));
    expect([...failures.keys()]).toEqual([0]);
    await assertEqualsOracle(here.store, [other]);
    expect(await here.state.get([`m/${docKeyOf(source, "d")}#`])).toEqual([undefined]);
    const smaller = doc("d", paragraphs(8), at(2));
    await writer.write([smaller], run());
    await assertEqualsOracle(here.store, [smaller, other]);
  });

  it("leaves what it may have overwritten in doubt, and a later version mends it", async () => {
    const here = await world({ maxVectors: 1 });
    const writer = here.open();
    const tagged = (tag: string, version: number, ...more: string[]) =>
      doc("d", [...paragraphs(4), ...more], at(version), { metadata: { tag } });
    await writer.write([tagged("old", 1)], run());
    const bad = tagged("new", 2, "bad");
    here.store.poison(idsOf(bad)[4] ?? "");
    await failuresOf(writer.write([bad], run()));
    expect(here.store.dump(namespace)).toHaveLength(4);
    for (const after of [tagged("old", 3), tagged("newer", 4)]) {
      await writer.write([after], run());
      await assertEqualsOracle(here.store, [after]);
    }
  });

  it("never takes back what another version brought", async () => {
    const here = await world({ maxVectors: 1, maxDeleteIds: 1 });
    const first = doc("d", paragraphs(3, "first"), at(1));
    await here.open().write([first], run());
    const second = doc("d", paragraphs(3, "second"), at(2));
    // Dies when the second is whole and half of the first is gone.
    let removals = 0;
    const store = {
      ...here.store,
      remove: async (...given: Parameters<typeof here.store.remove>) => {
        if (++removals > 2) throw new Error("killed");
        return here.store.remove(...given);
      },
    };
    await expect(here.open({ store }).write([second], run())).rejects.toThrow("killed");
    const third = doc("d", ["bad", ...paragraphs(3, "third")], at(3));
    here.store.poison(idsOf(third)[0] ?? "");
    await failuresOf(here.open().write([third], run({ redelivered: true })));
    const there = here.store.dump(namespace).map(({ id }) => id);
    for (const id of idsOf(second)) expect(there).toContain(id);
    const fourth = doc("d", ["fine"], at(4));
    await here.open().write([fourth], run());
    await assertEqualsOracle(here.store, [fourth]);
  });

  it("has an id no index can hold: poison before anything is written", async () => {
    const here = await world();
    const bad = doc("d", [{ text: "x", id: "é" }], at(1));
    const twice = doc(
      "e",
      [
        { text: "x", id: "1" },
        { text: "y", id: "1" },
      ],
      at(1),
    );
    const failures = await failuresOf(here.open().write([bad, twice], run()));
    expect([...failures.values()].map(({ code }) => code)).toEqual([
      "vectors.bad-chunk-id",
      "vectors.duplicate-chunk",
    ]);
    expect(here.written()).toBe(0);
  });
});

describe("a clear", () => {
  const below = at(10);
  const clear = (scope?: { partition: number; of: number }) => {
    const event = cleared({
      source,
      below,
      reason: "sweep",
      time: "2026-01-01T00:00:00Z",
      meta: {},
    });
    return scope ? { ...event, data: { ...event.data, scope } } : event;
  };

  it("removes what is below it in its scope, of its source, and keeps late versions out", async () => {
    const here = await world({ maxVectors: 50, maxDeleteIds: 30 });
    const writer = here.open({ maxDeleteRatio: 1 });
    const old = Array.from({ length: 450 }, (_, n) => doc(`d${n}`, [`text ${n}`], at(1)));
    const young = doc("young", ["stays"], at(10));
    const other = doc("d1", ["stays too"], at(1), { source: `${source}2` });
    await writer.write([...old, young, other], run());
    await writer.write([clear({ partition: 1, of: 3 })], run());
    const left = old.filter((one) => !inScope(one.partitionkey, { partition: 1, of: 3 }));
    expect(left.length).toBeGreaterThan(200);
    await assertEqualsOracle(here.store, [...left, young, other]);
    for (const partition of [0, 2]) await writer.write([clear({ partition, of: 3 })], run());
    await assertEqualsOracle(here.store, [young, other]);
    await writer.write(old, run());
    await assertEqualsOracle(here.store, [young, other]);
    here.written();
    await writer.write([clear()], run());
    expect(here.written()).toBe(0);
  });

  it("deletes no more than a part of what is there, unless it is a truncate", async () => {
    const here = await world();
    const writer = here.open();
    const all = Array.from({ length: 100 }, (_, n) =>
      doc(`d${n}`, [`text ${n}`], at(n < 21 ? 1 : 20)),
    );
    await writer.write(all, run());
    const sweep = clear();
    await expect(writer.write([sweep], run())).rejects.toMatchObject({
      name: "PoisonError",
      code: "vectors.too-many-deletes",
      message: expect.stringContaining("21 of 100"),
    });
    const drop = { ...sweep, data: { ...sweep.data, reason: "drop" as const } };
    await expect(writer.write([drop], run())).rejects.toThrow("maxDeleteRatio 0.2");
    await assertEqualsOracle(here.store, all);
    // One came back meanwhile: 20 of 100 may go.
    const back = doc("d0", ["text 0"], at(20));
    await writer.write([back], run());
    await writer.write([sweep], run());
    await assertEqualsOracle(here.store, [back, ...all.slice(21)]);
    const truncate = {
      ...clear(),
      data: { ...sweep.data, below: at(30), reason: "truncate" as const },
    };
    await writer.write([truncate], run());
    await assertEqualsOracle(here.store, []);
  });

  it("of a few documents is always obeyed; of more, as the options say", async () => {
    const here = await world();
    const of = (count: number) =>
      Array.from({ length: count }, (_, n) => doc(`d${n}`, [`text ${n}`], at(1)));
    await here.open().write(of(10), run());
    await here.open().write([clear()], run());
    await assertEqualsOracle(here.store, []);
    const again = of(11).map((one) => ({ ...one, sequence: at(11) }));
    const later = { ...clear(), data: { ...clear().data, below: at(12) } };
    await here.open().write(again, run());
    await expect(here.open().write([later], run())).rejects.toThrow("11 of 11");
    await here.open({ maxDeleteRatio: 1 }).write([later], run());
    await assertEqualsOracle(here.store, []);
  });

  it("finds sources whose names fill the whole key", async () => {
    const here = await world();
    const writer = here.open();
    const long = (tail: string) => `/file/${"x".repeat(180)}${tail}`;
    const kept = doc("k", ["stays"], at(1), { source: long("b") });
    await writer.write([doc("d", ["goes"], at(1), { source: long("a") }), kept], run());
    await writer.write([{ ...clear(), source: long("a") }], run());
    await assertEqualsOracle(here.store, [kept]);
  });
});

describe("an unknown document", () => {
  it("of an index that we began is never listed", async () => {
    const here = await world();
    let lists = 0;
    const store = {
      ...here.store,
      list: (...given: Parameters<typeof here.store.list>) => {
        lists += 1;
        return here.store.list(...given);
      },
    };
    const writer = here.open({ store });
    await writer.write([doc("d", ["text"], at(1))], run());
    await writer.write([gone("unknown", at(1)), doc("e", ["text"], at(1))], run());
    await here.open({ store }).write([gone("unknown too", at(1))], run());
    expect(lists).toBe(3);
  });
});

it("several partitions write through one writer at once", async () => {
  const here = await world({ maxVectors: 9 });
  const writer = here.open();
  const all = Array.from({ length: 200 }, (_, n) => doc(`d${n}`, ["shared", `own ${n}`], at(1)));
  const parts = [0, 1, 2, 3].map((part) => all.filter((_, n) => n % 4 === part));
  await Promise.all(parts.map((part) => writer.write(part, run())));
  await assertEqualsOracle(here.store, all);
  const edited = all.map((one, n) => doc(one.subject, [`own ${n}`, "added"], at(2)));
  await Promise.all(
    parts.map((_, part) =>
      writer.write(
        edited.filter((__, n) => n % 4 === part),
        run(),
      ),
    ),
  );
  await assertEqualsOracle(here.store, edited);
});

it("a call of any size is worked off in shares", async () => {
  const here = await world();
  const all = Array.from({ length: 100 }, (_, n) => doc(`d${n}`, paragraphs(150, `d${n}`), at(1)));
  await here.open().write(all, run());
  await assertEqualsOracle(here.store, all);
});

describe("refuses", () => {
  it("to mix models in a namespace", async () => {
    const here = await world();
    await here.open().write([doc("d", ["text"], at(1))], run());
    const embedder = { ...here.embedder, fingerprint: "another/64" };
    const writing = here.open({ embedder }).write([doc("e", ["text"], at(1))], run());
    await expect(writing).rejects.toThrow(ConfigError);
    await expect(writing).rejects.toMatchObject({ code: "vectors.model-mismatch" });
  });

  it("an index of other dimensions or another metric", async () => {
    const here = await world();
    const wanted = { metric: undefined, namespace, isCreated: false };
    const other = { ...here.embedder, dimensions: 32 };
    const { signal } = new AbortController();
    await expect(
      checkIndex(here.store, { ...wanted, model: other }, { signal }),
    ).rejects.toMatchObject({ code: "vectors.dimensions-mismatch" });
    await expect(
      checkIndex(here.store, { ...wanted, model: here.embedder, metric: "euclidean" }, { signal }),
    ).rejects.toMatchObject({ code: "vectors.metric-mismatch" });
    await checkIndex(here.store, { ...wanted, model: here.embedder, metric: "cosine" }, { signal });
  });

  it("documents without chunks, and what is no document", async () => {
    const here = await world();
    const writer = here.open();
    const { chunks: _, ...data } = doc("d", [], at(1)).data;
    await expect(writer.write([{ ...doc("d", [], at(1)), data }], run())).rejects.toMatchObject({
      code: "vectors.not-chunked",
    });
    const asked = { specversion: "1.0", id: "1", source: "/s", type: "dev.sluice.question.asked" };
    const failures = await failuresOf(writer.write([asked, doc("e", ["text"], at(1))], run()));
    expect(failures.get(0)?.code).toBe("vectors.not-a-document");
    await assertEqualsOracle(here.store, [doc("e", ["text"], at(1))]);
  });
});

describe("the lease", () => {
  it("ends: no request starts, and the work is handed back", async () => {
    const here = await world({ maxVectors: 2 });
    const writer = here.open();
    await writer.write([doc("first", ["text"], at(1))], run());
    here.written();
    let reads = 0;
    const ending = {
      ...run(),
      // Two requests may start, then the lease is over: the deadline is asked for before each, here and by the store.
      get deadline() {
        return ++reads <= 4 ? Infinity : 0;
      },
    };
    const document = doc("d", paragraphs(10), at(1));
    await expect(writer.write([document], ending)).rejects.toMatchObject({
      code: "vectors.lease-ended",
    });
    expect(here.written()).toBe(2);
    await expect(writer.write([document], run({ deadline: 0 }))).rejects.toThrow(FencedError);
    await writer.write([document], run({ redelivered: true }));
    await assertEqualsOracle(here.store, [doc("first", ["text"], at(1)), document]);
  });

  it("was lost to another worker: nothing is written", async () => {
    const here = await world();
    const { state, leases, lapse } = fakes.state();
    const old = await leases.acquire("partition 0", 1_000);
    lapse("partition 0");
    await leases.acquire("partition 0", 1_000);
    assert.ok(old);
    const writing = here.open({ state }).write([doc("d", ["text"], at(1))], run({ fence: old }));
    await expect(writing).rejects.toThrow(FencedError);
    expect(here.written()).toBe(0);
  });

  it("aborts: nothing more is written", async () => {
    const here = await world();
    const aborter = new AbortController();
    aborter.abort();
    const { signal } = aborter;
    await expect(here.open().write([doc("d", ["x"], at(1))], run({ signal }))).rejects.toThrow();
    await expect(here.open({ signal }).write([doc("d", ["x"], at(1))], run())).rejects.toThrow();
    expect(here.written()).toBe(0);
  });

  it("another worker's manifest is never overwritten: the document is tried again", async () => {
    const here = await world();
    const state = {
      ...here.state,
      get: async (keys: readonly string[]) => {
        const read = await here.state.get(keys);
        // Between our reading and our writing, somebody else writes `d`.
        await here.state.each(
          keys
            .filter((key) => key.endsWith("d#"))
            .map((key) => ({ key, value: { version: at(1), chunks: [], state: "live" } })),
        );
        return read;
      },
    };
    const all = [doc("d", ["mine"], at(2)), doc("other", ["text"], at(2))];
    const failures = await failuresOf(here.open({ state }).write(all, run()));
    expect([...failures.keys()]).toEqual([0]);
    expect(failures.get(0)).toBeInstanceOf(RetryableError);
    await here.open().write(all, run());
    await assertEqualsOracle(here.store, all);
  });
});
