import { describe, expect, it } from "vitest";
import { fakes } from "sluice/testing";
import { docKeyOf } from "./doc-key.ts";
import { at, doc, namespace, source, world } from "./harness.ts";
import { memoryStore } from "./memory-store.ts";
import { visibility, type Written } from "./visibility.ts";

const run = fakes.writeRun;
const quiet = { namespace, signal: new AbortController().signal };

function watching(options: { readonly patienceMs?: number } = {}) {
  const store = memoryStore({ dimensions: 4 });
  const { log, meter, signal, counters } = fakes.context({ config: {} });
  let queries = 0;
  const counted: typeof store = {
    ...store,
    query: (...given) => ((queries += 1), store.query(...given)),
  };
  const parts = { store: counted, dimensions: 4, log, meter, signal, ...options };
  const vector = (id: string, mark = "m") => ({
    id,
    values: Float32Array.of(1, 0, 0, 0),
    metadata: { _h: mark },
  });
  const put = async (id: string): Promise<Written> => {
    const { lsn } = await store.upsert([vector(id)], quiet);
    return { namespace, lsn, evidence: { id, mark: "m" } };
  };
  return { store, parts, put, vector, counters, queries: () => queries };
}

describe("seeing a write", () => {
  it("takes as long as the index is behind, and one query serves all that wait", async () => {
    const { store, parts, put, queries } = watching();
    const visible = visibility(parts);
    const writes = [await put("a"), await put("b"), await put("c")];
    store.seeUpTo(0n);
    const seen: number[] = [];
    const all = writes.map((write, n) =>
      visible.seen(write, quiet.signal).then(() => seen.push(n)),
    );
    await expect.poll(queries).toBe(2);
    expect(seen).toEqual([]);
    store.seeUpTo(2n);
    await Promise.all(all.slice(0, 2));
    expect(seen).toEqual([0, 1]);
    store.seeUpTo(undefined);
    await Promise.all(all);
    expect(queries()).toBeLessThan(8);
  });

  it("is given up in the end, as something that may pass", async () => {
    const { store, parts, put } = watching({ patienceMs: 150 });
    const write = await put("a");
    store.seeUpTo(0n);
    await expect(visibility(parts).seen(write, quiet.signal)).rejects.toMatchObject({
      name: "RetryableError",
      code: "vectors.not-visible",
    });
  });

  it("ends with the caller, and with the sink", async () => {
    const { store, parts, put } = watching();
    const visible = visibility(parts);
    const write = await put("a");
    store.seeUpTo(0n);
    const stop = new AbortController();
    const [one, other] = [visible.seen(write, stop.signal), visible.seen(write, quiet.signal)];
    stop.abort(new Error("stopped"));
    await expect(one).rejects.toThrow("stopped");
    visible.close();
    await expect(other).rejects.toThrow();
    await expect(visible.seen(write, quiet.signal)).rejects.toThrow("the sink closes");
  });

  it("goes by the vectors themselves where the store tells no position, or an older one", async () => {
    const { store, parts, put, vector } = watching();
    for (const lsn of [undefined, 0n]) {
      const answers: (bigint | undefined)[] = [5n, lsn];
      const mute = {
        ...store,
        query: async () => ({ matches: [], ...told(answers.length > 1 ? answers.shift() : lsn) }),
      };
      const visible = visibility({ ...parts, store: mute });
      const write = await put("a");
      await visible.seen({ ...write, lsn: undefined }, quiet.signal);
      const overwritten = { ...write, lsn: 100n, evidence: { id: "a", mark: "newer" } };
      const gone = { ...write, lsn: 101n, evidence: { id: "a", mark: undefined } };
      const seen: string[] = [];
      const both = [
        visible.seen(overwritten, quiet.signal).then(() => seen.push("newer")),
        visible.seen(gone, quiet.signal).then(() => seen.push("gone")),
      ];
      await store.upsert([vector("a", "newer")], quiet);
      await both[0];
      expect(seen).toEqual(["newer"]);
      await store.remove(["a"], quiet);
      await both[1];
      visible.close();
    }
  });
});

describe("the writer", () => {
  it("acknowledges when the index is searched as written, if that is wanted", async () => {
    const here = await world();
    const writer = here.open({ acknowledge: "indexed" });
    await writer.write([doc("d", ["one"], at(1))], run());
    here.store.seeUpTo(BigInt(here.store.writes.length));
    let isDone = false;
    const writing = writer.write([doc("d", ["two"], at(2))], run()).then(() => (isDone = true));
    await expect.poll(() => here.store.writes.at(-1)?.op).toBe("remove");
    await expect
      .poll(async () => (await here.state.get([`m/${docKeyOf(source, "d")}#`]))[0]?.value)
      .toMatchObject({ state: "live", version: at(2) });
    expect(isDone).toBe(false);
    here.store.seeUpTo(undefined);
    await writing;
    await writer.close();
  });

  it("measures from the change at the origin until searches find it", async () => {
    const here = await world();
    const writer = here.open();
    const time = new Date(Date.now() - 2_000).toISOString();
    await writer.write(
      [
        { ...doc("d", ["one"], at(1)), time },
        { ...doc("e", ["two"], at(1)), time },
      ],
      run(),
    );
    const counter = (name: string) => here.counters.get(name);
    await expect.poll(() => counter("freshness_seconds_count")).toBe(2);
    expect(counter("freshness_seconds_bucket{le=1}")).toBeUndefined();
    expect(counter("freshness_seconds_bucket{le=30}")).toBe(2);
    expect(counter("freshness_seconds_bucket{le=+Inf}")).toBe(2);
    expect(counter("freshness_seconds_sum")).toBeGreaterThan(4);
    await writer.close();
  });
});

function told(lsn: bigint | undefined) {
  return lsn === undefined ? {} : { lsn };
}
