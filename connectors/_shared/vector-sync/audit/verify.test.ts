import { describe, expect, it } from "vitest";
import type { Auditor, DocumentUpserted, Drift, OriginReading, Verified } from "sluice";
import { fakes } from "sluice/testing";
import { assertEqualsOracle, at, doc, namespace, source, world, type World } from "../harness.ts";
import { memoryStore, type MemoryStore } from "../memory-store.ts";
import { manifestsPrefix, toJson, toManifest } from "../manifest.ts";
import { defaultRules } from "../metadata.ts";
import { rootKey } from "../namespaces.ts";
import { fixedNamespace } from "../namespace-template.ts";
import { openAudit } from "./auditor.ts";

const { signal } = new AbortController();
const documents = ["a", "b", "c"].map((name) => doc(name, [`${name} one`, `${name} two`], at(1)));
const run = () => fakes.writeRun();

async function synced(): Promise<World> {
  const here = await world();
  const writer = here.open();
  for (const version of [1, 2, 3])
    await writer.write(
      ["a", "b", "c"].map((name) =>
        doc(name, [`${name} one`, `${name} two${version < 3 ? version : ""}`], at(version)),
      ),
      run(),
    );
  await writer.close();
  return here;
}

function auditOf({ state, embedder }: World, store: MemoryStore): Promise<Auditor> {
  const { log, meter } = fakes.context({ config: {} });
  return openAudit({
    store,
    state,
    embedder,
    openEmbedder: async () => embedder,
    namespace: fixedNamespace(namespace),
    rules: defaultRules,
    log,
    meter,
    signal,
    visibleWithinMs: 2_000,
  });
}

async function verified(
  here: World,
  more: Partial<Parameters<Auditor["verify"]>[0]> & { readonly store?: MemoryStore } = {},
): Promise<{ readonly drifts: readonly Drift[]; readonly found: Verified }> {
  const { store = here.store, ...how } = more;
  const audit = await auditOf(here, store);
  const drifts: Drift[] = [];
  const verifying = audit.verify(
    {
      sample: 100,
      values: false,
      lineage: [],
      settled: async () => true,
      patienceMs: 0,
      ...how,
    },
    { signal },
  );
  for (;;) {
    const next = await verifying.next();
    if (next.done) {
      await audit.close();
      return { drifts, found: next.value };
    }
    drifts.push(next.value);
  }
}

const kinds = (drifts: readonly Drift[]) =>
  drifts.map(({ kind, subject = "" }) => `${kind} ${subject}`).toSorted();

const originOf = (now: readonly DocumentUpserted[], whole = [source]) => {
  const read = (): OriginReading => ({
    documents: (async function* () {
      yield* now;
    })(),
    isWhole: (one) => whole.includes(one),
    isGivenUp: ({ subject }) => subject === "given up",
  });
  return read;
};

/** The newest version of each document, as its origin holds it. */
const newest = documents.map((one) => ({ ...one, sequence: at(3) }));

describe("an index whose log began anew", () => {
  it("has lost everything, and that is told at once", async () => {
    const here = await synced();
    const empty = memoryStore({ dimensions: here.embedder.dimensions });
    const began = performance.now();
    const { drifts, found } = await verified(here, { store: empty });
    expect(kinds(drifts)).toEqual(["missing a", "missing b", "missing c"]);
    expect(found.unsettled).toBe(0);
    expect(performance.now() - began).toBeLessThan(3_000);
  });

  it("is judged by what it holds, also when something was written to it since", async () => {
    const here = await synced();
    const anew = memoryStore({ dimensions: here.embedder.dimensions });
    const [first] = here.store.dump(namespace);
    if (first) await anew.upsert([first], { namespace, signal });
    const began = performance.now();
    const { drifts, found } = await verified(here, { store: anew });
    expect(kinds(drifts)).toEqual(["missing a", "missing b", "missing c"]);
    expect(drifts.flatMap(({ ids }) => ids)).toHaveLength(5);
    expect(found.unsettled).toBe(0);
    expect(performance.now() - began).toBeLessThan(4_000);
  });

  it("is no such thing while it is only behind: then nothing can be said", async () => {
    const here = await synced();
    here.store.seeUpTo(1n);
    const judgement = await here.state.get([rootKey, `${rootKey}/${namespace}`]);
    const { drifts, found } = await verified(here, { sample: 0 });
    expect(drifts).toEqual([]);
    expect(found.unsettled).toBe(3);
    // And the sink does not take the question for a write that nobody noted.
    here.store.seeUpTo(undefined);
    await here.open().write(newest, run());
    expect(await here.state.get([rootKey, `${rootKey}/${namespace}`])).toEqual(judgement);
    expect((await verified(here)).drifts).toEqual([]);
  }, 30_000);
});

describe("an origin", () => {
  it("that is empty has lost every document", async () => {
    const here = await synced();
    const exact = await verified(here, { origins: originOf(newest) });
    expect(exact.drifts).toEqual([]);
    expect(exact.found.compared).toBe(3);
    const empty = await verified(here, { origins: originOf([]) });
    expect(kinds(empty.drifts)).toEqual(["orphaned a", "orphaned b", "orphaned c"]);
    await here.open().write([doc("given up", ["old"], at(1))], run());
    const seen = [...newest, doc("given up", ["new"], at(2))];
    expect((await verified(here, { origins: originOf(seen) })).drifts).toEqual([]);
    const unread = await verified(here, { origins: originOf([], []) });
    expect(unread.drifts).toEqual([]);
  });

  it("that changes all the while is right where it was right once, and not settled elsewhere", async () => {
    const here = await synced();
    let round = 0;
    const origins = () => {
      round += 1;
      const [a, b, c] = newest;
      // `a` is ahead in every reading, `b` in the first alone.
      const ahead = doc("a", [`a ${round}`], at(3 + round));
      return originOf(
        [ahead, round === 1 ? doc("b", ["b new"], at(4)) : b, c].filter(
          (one): one is DocumentUpserted => one !== undefined && one !== a,
        ),
      )();
    };
    const { drifts, found } = await verified(here, { origins });
    expect(drifts).toEqual([]);
    expect(found.unsettled).toBe(1);
  });
});

describe("numbers of a vector that are not its text's", () => {
  const vectorOf = (here: World) => {
    const [first] = here.store.dump(namespace);
    if (first === undefined) throw new Error("the index is empty");
    return first;
  };
  const spoil = async (here: World, change: (value: number, at: number) => number) => {
    const vector = vectorOf(here);
    const values = vector.values.map(change);
    await here.store.upsert([{ ...vector, values }], { namespace, signal });
    return vector.id;
  };
  /** The vector cache is lost. */
  const forget = async ({ state }: World) => {
    for await (const page of state.scan("vc/"))
      await state.each(page.map(({ key }) => ({ key, value: undefined })));
  };
  const mended = async (here: World, drifts: readonly Drift[]) => {
    const audit = await auditOf(here, here.store);
    expect(await audit.mend(drifts, { force: false, signal })).toEqual({ deletes: [], removed: 0 });
    await here.open().write(newest, run());
    await assertEqualsOracle(here.store, newest);
    const again = await verified(here, { values: true, origins: originOf(newest) });
    expect(again.drifts).toEqual([]);
    for await (const page of here.state.scan(manifestsPrefix))
      for (const entry of page) expect(toManifest(entry)?.suspect).toBeUndefined();
  };

  it("are told by the cache, and written anew", async () => {
    const here = await synced();
    const id = await spoil(here, (_, n) => Math.sin(n + 1));
    const { drifts, found } = await verified(here);
    expect(drifts).toMatchObject([{ kind: "stale", ids: [id] }]);
    expect(found).toMatchObject({ sampled: 6, values: 6, embedded: { texts: 0 } });
    await mended(here, drifts);
  });

  it("are not believed after a crash that left their document in doubt", async () => {
    const here = await synced();
    await spoil(here, (_, n) => Math.sin(n + 1));
    const audit = await auditOf(here, here.store);
    await audit.mend((await verified(here)).drifts, { force: false, signal });
    const upsert = () => Promise.reject(new Error("the process dies"));
    const dying = here.open({ store: { ...here.store, upsert } });
    await expect(dying.write(newest, run())).rejects.toThrow("the process dies");
    for await (const page of here.state.scan(manifestsPrefix))
      for (const entry of page) {
        const manifest = toManifest(entry);
        if (manifest)
          await here.state.each([{ key: entry.key, value: toJson({ ...manifest, epoch: -1 }) }]);
      }
    await here.open().write(newest, run());
    await assertEqualsOracle(here.store, newest);
  });

  it("are told by the model where the cache is lost, when that is asked for", async () => {
    const here = await synced();
    const id = await spoil(here, (_, n) => Math.sin(n + 1));
    await forget(here);
    here.embedded();
    const cheap = await verified(here);
    expect(cheap.drifts).toEqual([]);
    expect(cheap.found.values).toBe(0);
    expect(here.embedded()).toBe(0);
    const { drifts, found } = await verified(here, { values: true });
    expect(drifts).toMatchObject([{ kind: "stale", ids: [id] }]);
    expect(found).toMatchObject({ values: 6, embedded: { texts: 6 } });
    expect(here.embedded()).toBe(6);
    await mended(here, drifts);
  });

  it("are embedded from the origin's text where the index has none", async () => {
    const here = await synced();
    await forget(here);
    const headed = doc("d", [{ text: "d one", context: "Title" }], at(1));
    await here.open().write([headed], run());
    await forget(here);
    const now = [...newest, headed];
    expect((await verified(here, { values: true })).found.values).toBe(6);
    expect((await verified(here, { values: true, origins: originOf(now) })).found.values).toBe(7);
  });

  it("may differ by what a model's answers differ, not by their length", async () => {
    const here = await synced();
    await spoil(here, (value, n) => value * (1 + (n % 2 ? 1e-4 : -1e-4)));
    expect((await verified(here)).drifts).toEqual([]);
    await spoil(here, (value) => value * 2);
    expect(kinds((await verified(here)).drifts)).toEqual(["stale a"]);
  });

  it("never get into the cache by way of the index", async () => {
    const here = await synced();
    const id = await spoil(here, (_, n) => Math.sin(n + 1));
    await forget(here);
    const renamed = newest.map(({ subject, data }) =>
      doc(subject, data.chunks ?? [], at(4), { metadata: { uri: "renamed" } }),
    );
    await here.open().write(renamed, run());
    const { drifts } = await verified(here, { values: true });
    expect(drifts).toMatchObject([{ kind: "stale", ids: [id] }]);
  });
});

describe("`_v`", () => {
  it.each([
    ["no version", "zzz"],
    ["one that is still to come", at(9)],
  ])("that is %s is stale, and written anew", async (_, _v) => {
    const here = await synced();
    const [first] = here.store.dump(namespace);
    if (first === undefined) throw new Error("the index is empty");
    const metadata = { ...first.metadata, _v };
    await here.store.upsert([{ ...first, metadata }], { namespace, signal });
    const { drifts } = await verified(here);
    expect(drifts).toMatchObject([{ kind: "stale", ids: [first.id] }]);
    const audit = await auditOf(here, here.store);
    await audit.mend(drifts, { force: false, signal });
    await here.open().write(newest, run());
    expect((await verified(here)).drifts).toEqual([]);
  });
});

describe("ids that are no record's", () => {
  it("are told apart, left alone, and deleted by force alone", async () => {
    const here = await synced();
    const [first] = here.store.dump(namespace);
    if (first === undefined) throw new Error("the index is empty");
    const ghost = `${source.replaceAll("/", "%2F")}:ghost#0000000000000000~0`;
    const lost = `${source}:lost#0000000000000000~0`;
    const vectors = [
      { ...first, id: "foreign" },
      { ...first, id: "zzz:q#1", metadata: {} },
      // Its metadata names a record whose vectors are called otherwise.
      { ...first, id: ghost, metadata: { ...first.metadata, _subject: "ghost" } },
      { ...first, id: lost, metadata: { ...first.metadata, _subject: "lost" } },
    ];
    await here.store.upsert(vectors, { namespace, signal });
    const { drifts } = await verified(here);
    const foreign = drifts.filter(({ isForeign }) => isForeign).flatMap(({ ids }) => ids);
    expect(foreign.toSorted()).toEqual([ghost, "foreign", "zzz:q#1"].toSorted());
    const audit = await auditOf(here, here.store);
    const gently = await audit.mend(drifts, { force: false, signal });
    expect(gently.removed).toBe(0);
    expect(gently.deletes.map(({ subject }) => subject)).toEqual(["lost"]);
    const forced = await audit.mend(drifts, { force: true, signal });
    expect(forced.removed).toBe(3);
    await here.open().write(gently.deletes, run());
    await assertEqualsOracle(here.store, newest);
    expect((await verified(here)).drifts).toEqual([]);
  });
});
