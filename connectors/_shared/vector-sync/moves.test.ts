import { beforeAll, describe, expect, it } from "vitest";
import { cleared, PartialError, type DocumentUpserted } from "sluice";
import { fakes } from "sluice/testing";
import { play, type Stage } from "./dying.test.data.ts";
import {
  assertEqualsOracle,
  assertNeverEmpty,
  at,
  contentOf,
  doc,
  gone,
  random,
  source,
  world,
} from "./harness.ts";
import { parseNamespace, type NamespaceTemplate } from "./namespace-template.ts";

const run = fakes.writeRun;
let parts: { readonly namespace: NamespaceTemplate };
beforeAll(async () => {
  parts = { namespace: await parseNamespace("t-{{ tenant }}") };
});

const homeOf = (event: DocumentUpserted) => `t-${String(event.data.metadata["tenant"])}`;
const texts = (subject: string, count = 3) =>
  Array.from({ length: count }, (_, n) => `${subject} paragraph ${n}`);
const of = (subject: string, tenant: string, version: number, some = texts(subject)) =>
  doc(subject, some, at(version), { metadata: { tenant } });
const sweep = (below: number) =>
  cleared({ source, below: at(below), reason: "sweep", time: "2026-01-01T00:00:00Z", meta: {} });

describe("a namespace by template", () => {
  it("holds each document where its metadata says", async () => {
    const here = await world();
    const all = [of("a", "one", 1), of("b", "two", 1), of("c", "two", 1)];
    await here.open(parts).write(all, run());
    expect(contentOf(here.store, "t-one")).toHaveLength(3);
    expect(contentOf(here.store, "t-two")).toHaveLength(6);
  });

  it("moves a document: nothing embedded, never absent, nothing left behind", async () => {
    const here = await world();
    for (const vectorCacheBytes of [undefined, 0]) {
      const writer = here.open({ ...parts, ...(vectorCacheBytes === 0 && { vectorCacheBytes }) });
      const version = vectorCacheBytes === 0 ? 3 : 1;
      const before = of("d", "one", version);
      await writer.write([before], run());
      here.embedded();
      const from = here.store.writes.length;
      const after = of("d", "two", version + 1);
      await writer.write([after], run());
      expect(here.embedded()).toBe(0);
      assertNeverEmpty(here.store, from, [{ before, after }], homeOf);
      await assertEqualsOracle(here.store, [after], parts);
    }
  });

  it("leaves the old place only when readers see the new one", async () => {
    const here = await world();
    const writer = here.open(parts);
    await writer.write([of("d", "one", 1), of("e", "two", 1)], run());
    const { length } = here.store.writes;
    here.store.seeUpTo(BigInt(length));
    const after = of("d", "two", 2);
    const writing = writer.write([after], run());
    await expect.poll(() => here.store.writes.length).toBe(length + 1);
    expect(contentOf(here.store, "t-one")).toHaveLength(3);
    here.store.seeUpTo(undefined);
    await writing;
    await assertEqualsOracle(here.store, [after, of("e", "two", 1)], parts);
  });

  it("a move that cannot be seen is tried again, and others are not held up", async () => {
    const here = await world();
    const writer = here.open({ ...parts, visibleWithinMs: 300 });
    await writer.write([of("d", "one", 1), of("e", "two", 1)], run());
    here.store.seeUpTo(BigInt(here.store.writes.length));
    const moved = of("d", "two", 2);
    const other = of("f", "one", 1);
    const failed = await writer.write([moved, other], run()).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(PartialError);
    expect([...(failed as PartialError).failures]).toMatchObject([
      [0, { code: "vectors.not-visible" }],
    ]);
    here.store.seeUpTo(undefined);
    await writer.write([moved], run());
    await assertEqualsOracle(here.store, [moved, of("e", "two", 1), other], parts);
  });

  it("a document that turns back halfway leaves nothing on either side", async () => {
    const here = await world();
    const writer = here.open({ ...parts, visibleWithinMs: 300 });
    await writer.write([of("d", "one", 1), of("e", "two", 1)], run());
    here.store.seeUpTo(BigInt(here.store.writes.length));
    await expect(writer.write([of("d", "two", 2)], run())).rejects.toMatchObject({
      code: "vectors.not-visible",
    });
    here.store.seeUpTo(undefined);
    const back = of("d", "one", 3, ["shorter"]);
    await writer.write([back], run());
    await assertEqualsOracle(here.store, [back, of("e", "two", 1)], parts);
  });

  it("knows the version wherever the document was", async () => {
    const here = await world();
    const writer = here.open(parts);
    await writer.write([of("d", "one", 5)], run());
    await writer.write([of("d", "two", 6)], run());
    await writer.write([of("d", "one", 5)], run());
    await assertEqualsOracle(here.store, [of("d", "two", 6)], parts);
    await writer.write([gone("d", at(7))], run());
    await writer.write([of("d", "three", 6)], run());
    await assertEqualsOracle(here.store, [], parts);
    expect(here.counters.get("stale_dropped")).toBe(2);
  });

  it("finds documents in namespaces it has no notes of", async () => {
    const here = await world();
    await here.open(parts).write([of("a", "one", 1), of("b", "two", 1), of("c", "two", 1)], run());
    const writer = here.open({ ...parts, state: fakes.state().state });
    await writer.write([gone("a", at(2)), of("b", "three", 2)], run());
    await writer.write([sweep(2)], run());
    await assertEqualsOracle(here.store, [of("b", "three", 2)], parts);
  });

  it("gives up a document that has no namespace, and no other", async () => {
    const here = await world();
    const bad = [
      doc("no field", ["x"], at(1)),
      of("empty", " ", 1),
      of("foreign", "ü", 1),
      of("long", "x".repeat(600), 1),
    ];
    const failed = await here
      .open(parts)
      .write([...bad, of("good", "one", 1)], run())
      .catch((error: unknown) => error);
    const failures = [...(failed as PartialError).failures];
    // "t-" is a name; blanks around it are not part of it.
    expect(failures.map(([index, { code }]) => [index, code])).toEqual([
      [0, "vectors.bad-namespace"],
      [2, "vectors.bad-namespace"],
      [3, "vectors.bad-namespace"],
    ]);
    await assertEqualsOracle(here.store, [of("empty", " ", 1), of("good", "one", 1)], parts);
  });

  it("that is no template is a config error", async () => {
    await expect(parseNamespace("{{ tenant")).rejects.toMatchObject({
      name: "ConfigError",
      code: "vectors.namespace-template",
    });
  });
});

describe("killed at a call while documents move, then redelivered", () => {
  const subjects = Array.from({ length: 8 }, (_, n) => `d${n}`);
  const homes = (turn: number) =>
    subjects.map((subject, n) =>
      of(subject, ["one", "two", "three"][(n + turn * (n % 3)) % 3] ?? "", turn + 1, [
        ...texts(subject, 2),
        ...(n % 2 ? [`${subject} turn ${turn}`] : []),
      ]),
    );
  const removed = subjects.slice(0, 4).map((subject) => gone(subject, at(6)));
  const stages: readonly Stage[] = [
    ...[0, 1, 2, 3].map((turn) => ({ batch: homes(turn), live: homes(turn) })),
    { batch: removed, live: homes(3).slice(4) },
    { batch: homes(6), live: homes(6) },
  ];
  const limits = { maxVectors: 6, maxDeleteIds: 4, maxFetchIds: 10 };

  for (const death of ["before", "half", "after"] as const) {
    it(`at every one: ${death} it`, async () => {
      const whole = await play({ stages, limits, parts, homeOf }, [], death);
      expect(whole.calls).toBeGreaterThan(50);
      for (let fatal = 1; fatal <= whole.calls; fatal++)
        expect((await play({ stages, limits, parts, homeOf }, [fatal], death)).deaths).toBe(1);
    });

    it(`again and again: ${death} it`, async () => {
      const next = random(5);
      for (let round = 0; round < 15; round++) {
        const fatals = Array.from({ length: 5 }, () => 1 + Math.floor(next() * 25));
        await play({ stages, limits, parts, homeOf }, fatals, death);
      }
    });
  }
});
