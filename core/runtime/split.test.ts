import { describe, expect, it } from "vitest";
import { childOf } from "../child.ts";
import { defineTransform, type Applicable, type Output } from "../connector.ts";
import { PoisonError, RetryableError } from "../errors.ts";
import { cleared, deleted, isRecordChange, upserted, type SluiceEvent } from "../event.ts";
import { z } from "../index.ts";
import { state as fakeState } from "../testing/fakes/state.ts";
import { version } from "../version.ts";
import { openChildren } from "./children.ts";
import type { Failure } from "./failure.ts";
import type { OpenStage } from "./outcome.ts";
import { throughStages, type Slot } from "./stages.ts";

const { signal } = new AbortController();
const fence = { lease: "test", token: 0 };
const at = (position: number) =>
  version({ epoch: 1, position: BigInt(position), rank: 0, tail: 0 });
const change = (subject: string, position: number) => ({
  source: "/t",
  key: subject,
  subject,
  version: at(position),
  time: "2026-01-01T00:00:00Z",
  meta: {},
});
/** A record that is split at its spaces; one without any stays whole; `!` is no longer wanted. */
const record = (subject: string, position: number, text: string, audience?: string) =>
  upserted({
    ...change(subject, position),
    op: "update",
    after: { text },
    ...(audience !== undefined && { audience }),
  });

function splitAtSpaces(event: Applicable): Output {
  const { text } = (event as ReturnType<typeof record>).data.after as { text: string };
  if (text === "!") return null;
  if (!text.includes(" ")) return event;
  return text
    .split(" ")
    .filter((key) => key !== "")
    .map((key) =>
      childOf(event, key, {
        type: "dev.sluice.document.upserted",
        data: { key, text: key, metadata: {}, lineage: [] },
      }),
    );
}

async function stageOf(
  place: ReturnType<typeof fakeState>,
  apply = splitAtSpaces,
  use = "split",
  splits = true,
): Promise<OpenStage> {
  const worker = { splits, apply: async (events: readonly Applicable[]) => events.map(apply) };
  const transform = defineTransform({
    name: "split",
    version: "1.2.3",
    summary: "",
    config: z.strictObject({}),
    accepts: [""],
    emits: [""],
    open: async () => worker,
  });
  const children = await openChildren(place.state, use, splits);
  return { use, transform, config: {}, configHash: "c0ffee00", worker, children };
}

/** A consumer with a sink behind it that keeps versions as the real ones do. */
function consumer(place = fakeState(), apply?: typeof splitAtSpaces) {
  const held = new Map<string, { sequence: string; text: string | undefined }>();
  const calls: (readonly SluiceEvent[])[] = [];
  let answer = (_slots: readonly Slot[]): readonly Failure[] => [];
  const write = async (slots: readonly Slot[]) => {
    const failures = answer(slots);
    const failed = new Set(failures.map(({ at }) => at));
    calls.push(slots.map(({ event }) => event));
    for (const { at, event } of slots) {
      if (!isRecordChange(event) || failed.has(at)) continue;
      if (event.type === "dev.sluice.collection.cleared") {
        for (const [key, { sequence }] of held) if (sequence < event.data.below) held.delete(key);
        continue;
      }
      const before = held.get(event.subject);
      if (before && before.sequence > event.sequence) continue;
      const data = event.data as { text?: string; after?: { text: string } };
      held.set(event.subject, { sequence: event.sequence, text: data.text ?? data.after?.text });
    }
    return failures;
  };
  return {
    place,
    calls,
    failWith: (next: typeof answer) => void (answer = next),
    get: async (...events: SluiceEvent[]) =>
      throughStages([await stageOf(place, apply)], events, { signal, fence, write }),
    texts: () =>
      [...held.values()].flatMap(({ text }) => text ?? []).toSorted((a, b) => (a < b ? -1 : 1)),
    types: () => calls.flat().map(({ type, id }) => `${type.split(".").at(-1)} ${id}`),
    children: async () => {
      const keys: string[] = [];
      for await (const page of place.state.scan("children/"))
        keys.push(...page.map((one) => one.key));
      return keys;
    },
  };
}

describe("a transform that splits", () => {
  it("makes one event a part, named by it, with the stage's mark", async () => {
    const { get, calls } = consumer();
    await get(record("a", 1, "x y"));
    const [x] = calls.flat();
    expect(x).toMatchObject({
      id: `${record("a", 1, "").id}~split/x`,
      source: "/t",
      subject: '["a","x"]',
      sequence: at(1),
      partitionkey: "/t\na",
      data: { text: "x", lineage: ["split@1.2.3:c0ffee00"] },
    });
  });

  it("deletes parts that vanish, after the new ones, and only those", async () => {
    const { get, texts, types, calls } = consumer();
    await get(record("a", 1, "x y"));
    calls.length = 0;
    await get(record("a", 2, "y z"));
    expect(texts()).toEqual(["y", "z"]);
    const id = record("a", 2, "").id;
    expect(types()).toEqual([
      `upserted ${id}~split/y`,
      `upserted ${id}~split/z`,
      `deleted ${id}~split/x`,
    ]);
  });

  it.each([
    ["is deleted", deleted(change("a", 2)), []],
    ["is no longer wanted", record("a", 2, "!"), []],
    ["becomes whole again", record("a", 2, "whole"), ["whole"]],
    ["becomes empty", record("a", 2, " "), []],
  ])("deletes all of them when the record %s", async (_how, next, left) => {
    const { get, texts, children } = consumer();
    await get(record("a", 1, "x y"), record("b", 1, "p q"));
    await get(next);
    expect(texts()).toEqual([...left, "p", "q"].toSorted((a, b) => (a < b ? -1 : 1)));
    if (next.data.op === "delete") expect(await children()).toHaveLength(1);
  });

  it("deletes the document that a record was before it was split", async () => {
    const { get, texts } = consumer();
    await get(record("a", 1, "whole"));
    await get(record("a", 2, "x y"));
    expect(texts()).toEqual(["x", "y"]);
    await get(record("a", 3, "whole"));
    expect(texts()).toEqual(["whole"]);
  });

  it("forgets nothing in a crash between writing and remembering", async () => {
    const place = fakeState();
    const first = consumer(place);
    await first.get(record("a", 1, "x y"));
    first.failWith(() => {
      throw new Error("died after the write was sent");
    });
    await expect(first.get(record("a", 2, "y z"))).rejects.toThrow("write");
    const second = consumer(place);
    await second.get(record("a", 3, "z w"));
    const deletes = second.calls
      .flat()
      .filter(({ type }) => type === "dev.sluice.record.deleted")
      .map(({ subject }) => subject);
    expect(new Set(deletes)).toEqual(new Set(['["a","x"]', '["a","y"]']));
  });

  it("tries the whole record again when a part failed that may pass, else gives it up once", async () => {
    const { get, failWith, texts } = consumer();
    await get(record("a", 1, "x y"));
    const poison = new PoisonError("bad", { code: "test.bad" });
    const busy = new RetryableError("busy", { code: "test.busy", reason: "unreachable" });
    failWith((slots) =>
      slots
        .filter(({ event }) => event.type === "dev.sluice.document.upserted")
        .map(({ at }, n) => ({ at, stage: "write", error: [poison, busy, poison][n] })),
    );
    expect(await get(record("a", 2, "p q r"))).toEqual([{ at: 0, stage: "write", error: busy }]);
    failWith((slots) => slots.slice(0, 2).map(({ at }) => ({ at, stage: "write", error: poison })));
    expect(await get(record("a", 2, "p q r"))).toHaveLength(1);
    failWith(() => []);
    await get(record("a", 3, "q"));
    await get(record("a", 4, "s t"));
    expect(texts()).toEqual(["s", "t"]);
  });

  it("drops what is older than what was split last: it would never be corrected", async () => {
    const { get, texts, calls } = consumer();
    await get(record("a", 5, "x y"));
    calls.length = 0;
    await get(record("a", 4, "old older"));
    expect(calls.flat()).toEqual([]);
    await get(deleted(change("a", 3)));
    expect(texts()).toEqual(["x", "y"]);
    await get(record("a", 5, "x y"));
    expect(texts()).toEqual(["x", "y"]);
  });

  it("keeps for all what a catch-up for one shows as vanished", async () => {
    const { get, calls } = consumer();
    await get(record("a", 1, "x y"));
    await get(record("a", 2, "y z", "late"));
    calls.length = 0;
    await get(record("a", 3, "y z"));
    expect(calls.flat().map(({ subject, type }) => [subject, type.split(".").at(-1)])).toEqual([
      ['["a","y"]', "upserted"],
      ['["a","z"]', "upserted"],
      ['["a","x"]', "deleted"],
    ]);
  });

  it("forgets what a clear removes, in its scope, and no more", async () => {
    const { get, texts, children } = consumer();
    await get(record("a", 1, "x y"), record("b", 9, "p q"));
    const clear = (below: number, audience?: string) =>
      cleared({
        source: "/t",
        below: at(below),
        reason: "sweep",
        time: "2026-01-01T00:00:00Z",
        meta: {},
        ...(audience !== undefined && { audience }),
      });
    await get(clear(5, "late"));
    expect(await children()).toHaveLength(2);
    await get(clear(5));
    expect(await children()).toEqual(["children/split//t\nb"]);
    expect(texts()).toEqual(["p", "q"]);
  });

  it("writes many parts a thousand at a time", async () => {
    const { get, calls, texts } = consumer();
    const many = Array.from({ length: 2_500 }, (_, n) => `k${n}`).join(" ");
    await get(record("a", 1, many), record("b", 1, "whole"));
    expect(calls.map(({ length }) => length)).toEqual([1_000, 1_000, 502]);
    expect(texts()).toHaveLength(2_501);
    await get(deleted(change("a", 2)));
    expect(texts()).toEqual(["whole"]);
  });

  it("splits parts again", async () => {
    const place = fakeState();
    const events: SluiceEvent[] = [];
    const write = async (slots: readonly Slot[]) => (
      events.push(...slots.map(({ event }) => event)),
      []
    );
    const letters = (event: Applicable): Output =>
      (event.data as { text: string }).text.split("").map((key) =>
        childOf(event, key, {
          type: "dev.sluice.document.upserted",
          data: { key, text: key, metadata: {}, lineage: [] },
        }),
      );
    const stages = [await stageOf(place), await stageOf(place, letters, "letters")];
    const run = { signal, fence, write };
    await throughStages(stages, [record("a", 1, "ab cd")], run);
    events.length = 0;
    await throughStages(stages, [record("a", 2, "ab e")], run);
    const gone = events
      .filter(({ type }) => type.endsWith("deleted"))
      .map((event) => event.subject);
    expect(gone).toContain(JSON.stringify([JSON.stringify(["a", "cd"]), "c"]));
    expect(gone).toContain(JSON.stringify([JSON.stringify(["a", "cd"]), "d"]));
    expect(
      events.filter(({ type }) => type.endsWith("upserted")).map(({ data }) => data),
    ).toMatchObject([{ text: "a" }, { text: "b" }, { text: "e" }]);
  });

  it("still deletes what it split before it was told not to", async () => {
    const place = fakeState();
    await consumer(place).get(record("a", 1, "x y"));
    const stage = await stageOf(place, (event) => event, "split", false);
    const events: SluiceEvent[] = [];
    const write = async (slots: readonly Slot[]) => (
      events.push(...slots.map(({ event }) => event)),
      []
    );
    await throughStages([stage], [record("a", 2, "x y")], { signal, fence, write });
    expect(events.map(({ type }) => type.split(".").at(-1))).toEqual([
      "upserted",
      "deleted",
      "deleted",
    ]);
    const again = await stageOf(place, (event) => event, "split", false);
    expect(again.children).toBeUndefined();
  });

  it.each([
    ["without saying that it splits", false, splitAtSpaces],
    [
      "one part twice",
      true,
      (event: Applicable) => [
        ...(splitAtSpaces(event) as Applicable[]),
        ...(splitAtSpaces(event) as Applicable[]),
      ],
    ],
    ["what is no part", true, (event: Applicable) => [event]],
  ])("must not return %s", async (_what, splits, apply) => {
    const stage = await stageOf(fakeState(), apply, "split", splits);
    const run = { signal, fence, write: async () => [] };
    await expect(throughStages([stage], [record("a", 1, "x y")], run)).rejects.toMatchObject({
      cause: { code: "transform.contract" },
    });
  });

  it("may make several messages of one", async () => {
    const message = { specversion: "1.0", id: "1", source: "/x", type: "com.example.other" };
    const { get, calls } = consumer(fakeState(), (event) => [event, event]);
    await get(message);
    expect(calls.flat().map(({ id }) => id)).toEqual(["1~split/0", "1~split/1"]);
  });
});
