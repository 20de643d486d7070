import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { z } from "zod";
import { defineSink, defineSource, defineTransform, type SnapshotRequest } from "../connector.ts";
import { cleared, deleted, isRecordChange, upserted, type RecordChange } from "../event.ts";
import { inScope } from "../queue/partition.ts";
import { fakes, sinkConformance, sourceConformance, transformConformance } from "./index.ts";

// An origin, a target and connectors for them, as small as they can be: the kit must pass them, and
// must fail each of the same with one thing broken.

function memory(
  broken: { repeats?: boolean; stuck?: boolean; completes?: "never" | "early" } = {},
) {
  const changes: { readonly key: string; readonly text?: string }[] = [];
  const source = defineSource({
    name: "memory",
    version: "1.0.0",
    summary: "A list of changes.",
    config: z.strictObject({ everyMs: z.number().describe("Milliseconds between looks.") }),
    checkpoint: z.object({ next: z.number() }),
    emits: ["dev.sluice.record.", "dev.sluice.collection.cleared"],
    capabilities: { deletes: true, snapshotOnRequest: true, replays: true, forgets: false },
    async *read({ config, checkpoint, nextVersion, requests, signal, name }) {
      let next = broken.repeats ? 0 : (checkpoint?.next ?? 0);
      const source = `/memory/${name}`;
      const asked: SnapshotRequest[] = [];
      const listen = async () => {
        for await (const request of requests) asked.push(request);
      };
      const listening = listen();
      while (!signal.aborted) {
        const { id, audience } = asked.shift() ?? {};
        if (id !== undefined) {
          const completes = broken.completes === "never" ? [] : [id];
          const to = audience === undefined ? {} : { audience };
          const [below, time] = [nextVersion(), new Date().toISOString()];
          const held = new Map(changes.slice(0, next).map(({ key, text }) => [key, text]));
          const events = [...held].flatMap(([key, text]) => {
            const change = { source, subject: key, key, version: nextVersion(), time, meta: {} };
            if (text === undefined) return [];
            return [upserted({ ...change, ...to, op: "read", after: { text } })];
          });
          const sweep = cleared({ source, below, time, reason: "sweep", meta: {}, ...to });
          if (broken.completes === "early") yield { events: [], checkpoint: { next }, completes };
          yield { events: [...events, sweep], checkpoint: { next }, completes };
        }
        const some = changes.slice(next, next + 10);
        next += some.length;
        const events = some.map(({ key, text }) => {
          const change = {
            source,
            subject: key,
            key,
            version: nextVersion(),
            time: new Date().toISOString(),
            meta: {},
          };
          if (text === undefined) return deleted(change);
          return upserted({ ...change, op: "update", after: { text } });
        });
        if (events.length > 0) yield { events, checkpoint: { next } };
        else await new Promise((resolve) => setTimeout(resolve, config.everyMs));
      }
      await listening;
      if (broken.stuck) await new Promise((resolve) => setTimeout(resolve, 1_200));
    },
  });
  return {
    source,
    config: { everyMs: 5 },
    origin: {
      put: async (key: string, text: string) => {
        changes.push({ key, text });
        return key;
      },
      remove: async (key: string) => void changes.push({ key }),
    },
  };
}

function table(broken: { takesOlder?: boolean; resurrects?: boolean; clearsAll?: boolean } = {}) {
  const rows = new Map<string, RecordChange>();
  const sink = defineSink({
    name: "table",
    version: "1.0.0",
    summary: "A map.",
    config: z.strictObject({}),
    accepts: ["dev.sluice.record."],
    open: async () => ({
      write: async (events, { signal }) => {
        signal.throwIfAborted();
        for (const event of events) {
          if (!isRecordChange(event)) continue;
          if (event.type === "dev.sluice.collection.cleared") {
            for (const [key, row] of rows)
              if (
                (broken.clearsAll || row.source === event.source) &&
                row.sequence < event.data.below &&
                inScope(row.partitionkey, event.data.scope)
              )
                rows.delete(key);
            continue;
          }
          const key = `${event.source}\n${event.subject}`;
          const held = rows.get(key);
          if (held && held.sequence > event.sequence && !broken.takesOlder) continue;
          if (broken.resurrects && event.type === "dev.sluice.record.deleted") rows.delete(key);
          else rows.set(key, event);
        }
      },
      close: async () => {},
    }),
  });
  return { sink, config: {}, read: async () => [...rows.values()] };
}

function upper(broken: { drops?: boolean; counts?: boolean } = {}) {
  let count = 0;
  const transform = defineTransform({
    name: "upper",
    version: "1.0.0",
    summary: "Shouts.",
    config: z.strictObject({ mark: z.string().describe("What to end with.") }),
    accepts: ["dev.sluice.record."],
    emits: [""],
    open: async ({ config }) => ({
      apply: async (events) => {
        if (broken.drops) return events.slice(1);
        return events.map((event) => {
          count += 1;
          const text = JSON.stringify(event.data).toUpperCase() + config.mark;
          const data = { text: broken.counts ? text + String(count) : text };
          return { ...event, id: `${event.id}~upper`, data };
        });
      },
    }),
  });
  return { transform, config: { mark: "!" }, samples: [sample("1"), sample("2")] };
}

function sample(key: string) {
  return upserted({
    source: "/kit",
    subject: key,
    key,
    version: "000000010000000000000001000000000",
    time: "2026-01-01T00:00:00Z",
    meta: {},
    op: "create",
    after: { text: `text ${key}` },
  });
}

describe("sourceConformance passes a good source:", () => {
  for (const { name, run } of sourceConformance(memory())) it(name, run);
});
describe("transformConformance passes a good transform:", () => {
  for (const { name, run } of transformConformance(upper())) it(name, run);
});
describe("sinkConformance passes a good sink:", () => {
  for (const { name, run } of sinkConformance(table())) it(name, run);
});

describe("the kit fails", () => {
  const failing = async (cases: readonly { name: string; run: () => Promise<void> }[]) => {
    const failed: string[] = [];
    for (const { name, run } of cases) await run().catch(() => failed.push(name));
    return failed;
  };
  const only = (given: Parameters<typeof sourceConformance>[0], ...names: string[]) =>
    sourceConformance(given).filter(({ name }) => names.includes(name));

  it("a source that starts over", async () => {
    const name = "resumes after its checkpoint: nothing old, nothing missed";
    assert.deepEqual(await failing(only(memory({ repeats: true }), name)), [name]);
  });
  it("a source that outlives its abort", async () => {
    const name = "returns within a second of an abort, idle or not asked";
    assert.deepEqual(await failing(only(memory({ stuck: true }), name)), [name]);
  });
  it("a source that never says that a snapshot is done", async () => {
    const names = [
      "completes each request once, with its sweep or after it",
      "a snapshot that a crash ended is finished when it is asked for again, once",
    ];
    const given = { ...memory({ completes: "never" }), patienceMs: 200 };
    assert.deepEqual(await failing(only(given, ...names)), names);
  });
  it("a source that says so before it is", async () => {
    const name = "completes each request once, with its sweep or after it";
    assert.deepEqual(await failing(only(memory({ completes: "early" }), name)), [name]);
  });
  it("a source that is silent, soon, and says what it waited for", async () => {
    const given = { ...memory(), patienceMs: 100 };
    const origin = { ...given.origin, put: async (key: string) => key };
    const start = performance.now();
    const [emitting] = only({ ...given, origin }, "emits what appears while it runs");
    await assert.rejects(
      async () => emitting?.run(),
      /waited for 1 new text\(s\), kit\w+, but nothing came for 100 ms; published: 0 events/,
    );
    assert.ok(performance.now() - start < 2_000);
  });
  it("a transform that drops an input", async () => {
    const failed = await failing(transformConformance(upper({ drops: true })));
    assert.ok(failed.includes("answers with one slot per input, of a type it says it emits"));
  });
  it("a transform that remembers", async () => {
    const failed = await failing(transformConformance(upper({ counts: true })));
    assert.deepEqual(failed, [
      "gives the same for the same, at once, one by one and in a new worker",
    ]);
  });
  it("a sink that takes older versions", async () => {
    const failed = await failing(sinkConformance(table({ takesOlder: true })));
    assert.deepEqual(failed, [
      "an older version after a newer one changes nothing",
      "a delete removes, and what is older does not come back",
    ]);
  });
  it("a sink that forgets its tombstones", async () => {
    const failed = await failing(sinkConformance(table({ resurrects: true })));
    assert.deepEqual(failed, ["a delete removes, and what is older does not come back"]);
  });
  it("a sink that clears what is not meant", async () => {
    const failed = await failing(sinkConformance(table({ clearsAll: true })));
    assert.deepEqual(failed, ["a clear removes what is below it, of its origin only"]);
  });
});

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
});
