import assert from "node:assert/strict";
import type { VectorStoreExtension } from "../extension.ts";
import type { JsonObject } from "../event.ts";
import type { StoreRun, Vector, VectorStore } from "../vectors.ts";
import { definitionCases, settles, word, type Case } from "./conformance.ts";
import { context } from "./fakes/context.ts";
import { leavesNothing } from "./leftovers.ts";
import { secretCases } from "./secrets.ts";
import { callsOf, storeAbortCases } from "./store-aborts.ts";
import { equality, storeFilterCases } from "./store-filters.ts";
import { storeKillCases } from "./store-kills.ts";
import { storeLimitCases } from "./store-limits.ts";
import { storeListCases } from "./store-lists.ts";
import { storeMetadataCases } from "./store-metadata.ts";
import { makesNothing, storeReadCases } from "./store-reads.ts";
import { storeSharedCases } from "./store-shared.ts";

/** How far a value may be off that was written as a text in between. */
const precision = 1e-6;

/** A store, and an empty namespace in it. */
export interface StoreHand {
  readonly store: VectorStore;
  readonly to: StoreRun;
  /** A vector of the index's dimensions; `towards` is the one that it points along. */
  readonly vector: (id: string, more?: { towards?: number; text?: string }) => Vector;
  /** Waits until the namespace shows what is expected: a database may be behind its writes. */
  readonly shows: (expected: readonly Vector[]) => Promise<void>;
  /** Waits for it, as long as the database may be behind. */
  readonly soon: (look: () => Promise<void>) => Promise<void>;
  /** Writes however many, so many a call as the store takes. */
  readonly put: (vectors: readonly Vector[]) => Promise<void>;
}

export type OpenedStore = (use: (hand: StoreHand) => Promise<void>) => Promise<void>;

/** What those cases share that open a store more than once. */
export interface StoreBench {
  readonly dimensions: number;
  readonly open: (how?: {
    readonly dimensions?: number;
    readonly readOnly?: boolean;
  }) => Promise<VectorStore>;
  readonly opened: OpenedStore;
  readonly handOf: (store: VectorStore, to: StoreRun) => StoreHand;
}

/**
 * What vector sync relies on in a `VectorStore`. Every case takes a namespace of its own, and empties it.
 * `dimensions` (8) is what the index is opened with; `patienceMs` (5 s) how far it may be behind its writes.
 * `module`, the URL of the module that exports the store, has it killed at each step, in a process of its own:
 * what it writes to must outlive a process. `absent`, the config of an index that is not there, which a writer would
 * make, proves that a reader makes none. `filter` is how the database is asked for the vectors that have a text in a
 * field, by default `{ [field]: text }`; `false` where it knows no filter. Aborts are tried while no socket of this
 * process hears anything: a store that asks a server is waiting for it then.
 */
export function vectorStoreConformance(given: {
  readonly store: VectorStoreExtension;
  readonly config: Record<string, unknown>;
  readonly dimensions?: number;
  readonly patienceMs?: number;
  readonly module?: URL | string;
  readonly absent?: Record<string, unknown>;
  readonly filter?: ((field: string, text: string) => JsonObject) | false;
}): readonly Case[] {
  const { store: extension, config, dimensions = 8, patienceMs = 5_000, module, absent } = given;
  const { filter = equality } = given;
  const told = () => context<unknown>({ config: extension.config.parse(config) });
  const open: StoreBench["open"] = ({ dimensions: wanted = dimensions, readOnly = false } = {}) =>
    extension.open({ ...told(), ...(!readOnly && { dimensions: wanted }), readOnly });

  const vector: StoreHand["vector"] = (id, { towards = 0, text = id } = {}) => ({
    id,
    values: Float32Array.from({ length: dimensions }, (_, at) =>
      at === towards % dimensions ? 1 : 0.25,
    ),
    metadata: { text, count: 2, ratio: 0.5, isLive: true, tags: ["a", "b"] },
  });
  const handOf: StoreBench["handOf"] = (store, to) => {
    const soon: StoreHand["soon"] = (look) => settles(patienceMs, look);
    const shows: StoreHand["shows"] = (expected) =>
      soon(async () =>
        assert.deepEqual(
          await everything(store, to),
          expected.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
        ),
      );
    const put: StoreHand["put"] = async (vectors) => {
      const { maxVectors } = store.limits;
      for (let at = 0; at < vectors.length; at += maxVectors)
        await store.upsert(vectors.slice(at, at + maxVectors), to);
    };
    return { store, to, vector, shows, soon, put };
  };
  const within = async (namespace: string, use: (hand: StoreHand) => Promise<void>) => {
    const store = await open();
    try {
      await use(handOf(store, { namespace, signal: new AbortController().signal }));
    } finally {
      await store.close();
    }
  };
  const opened: OpenedStore = (use) =>
    within(word(), async (hand) => {
      const { store, to } = hand;
      await use(hand);
      const { maxDeleteIds } = store.limits;
      for await (const ids of store.list("", to))
        for (let at = 0; at < ids.length; at += maxDeleteIds)
          await store.remove(ids.slice(at, at + maxDeleteIds), to);
    });
  const shared = { store: extension, config, dimensions, patienceMs, vector, within };

  return [
    ...definitionCases(extension, config),
    ...secretCases(extension, config, async (told) => {
      const store = await extension.open({ ...told, dimensions, readOnly: false });
      const run = { namespace: word(), signal: told.signal };
      const said: unknown[] = [];
      const tried = async (call: () => Promise<unknown>) =>
        void said.push(await call().catch((error: unknown) => error));
      try {
        await tried(() => store.describe(run));
        for (const call of Object.values(callsOf({ store, vector }))) await tried(() => call(run));
        await tried(() => store.upsert([misfit(vector)], run));
        await tried(() => store.remove(["new"], run));
      } finally {
        await store.close();
      }
      return said;
    }),
    {
      name: "says what the index is",
      run: () =>
        opened(async ({ store, to }) => {
          assert.equal((await store.describe(to)).dimensions, dimensions);
        }),
    },
    {
      name: "gives back what was put",
      run: () =>
        opened(async ({ store, to, vector, shows }) => {
          const all = [vector("a#1"), vector("a#2", { towards: 3, text: 'naïve 猫 "quoted"' })];
          await store.upsert(all, to);
          await shows(all);
        }),
    },
    {
      name: "gives back values as they were put, not rounded",
      run: () =>
        opened(async ({ store, to }) => {
          const all = Array.from({ length: 8 }, (_, at) => ({
            id: `v${at}`,
            values: unitVector(dimensions),
            metadata: { text: "t" },
          }));
          await store.upsert(all, to);
          await settles(patienceMs, async () => {
            const ids = all.map(({ id }) => id);
            const found = new Map((await store.fetch(ids, to)).map((one) => [one.id, one.values]));
            for (const { id, values } of all) {
              const off = values.map((value, at) => Math.abs(value - (found.get(id)?.[at] ?? NaN)));
              assert.ok(Math.max(...off) <= precision, `${id} is off by ${Math.max(...off)}`);
            }
          });
        }),
    },
    {
      name: "an upsert replaces the whole vector, its metadata too, and may be repeated",
      run: () =>
        opened(async ({ store, to, vector, shows }) => {
          await store.upsert([vector("a")], to);
          const other = { ...vector("a", { towards: 2 }), metadata: { only: "this" } };
          await store.upsert([other], to);
          await store.upsert([other], to);
          await shows([other]);
        }),
    },
    {
      name: "removes what it is told and nothing else",
      run: () =>
        opened(async ({ store, to, vector, shows }) => {
          await store.upsert([vector("a"), vector("b"), vector("c")], to);
          await store.remove(["a", "c"], to);
          await shows([vector("b")]);
        }),
    },
    {
      name: "removing what is absent succeeds, in an absent namespace too",
      run: () =>
        opened(async ({ store, to, vector, shows }) => {
          await store.remove(["never"], { ...to, namespace: word() });
          await store.upsert([vector("a")], to);
          await store.remove(["never", "there"], to);
          await shows([vector("a")]);
        }),
    },
    {
      name: "upserts at once all arrive",
      run: () =>
        opened(async ({ store, to, vector, shows }) => {
          const all = Array.from({ length: 12 }, (_, at) => vector(`v${10 + at}`));
          await Promise.all(all.map((one) => store.upsert([one], to)));
          await shows(all);
        }),
    },
    {
      name: "tells rising log positions, if any",
      run: () =>
        opened(async ({ store, to, vector }) => {
          const { lsn: first } = await store.upsert([vector("a")], to);
          const { lsn: second } = await store.upsert([vector("b")], to);
          assert.equal(first === undefined, second === undefined);
          if (first !== undefined && second !== undefined) assert.ok(second > first);
        }),
    },
    ...storeMetadataCases(opened),
    ...storeReadCases(opened),
    ...storeListCases(opened),
    ...storeFilterCases(opened, filter),
    ...storeSharedCases({ dimensions, open, opened, handOf }),
    ...(absent === undefined ? [] : [makesNothing(extension, { absent, dimensions })]),
    ...storeLimitCases(opened),
    ...storeAbortCases(opened),
    ...(module === undefined ? [] : storeKillCases({ ...shared, module: String(module) })),
    {
      name: "can be closed twice",
      run: async () => {
        const store = await open();
        await store.close();
        await store.close();
      },
    },
    {
      name: "leaves nothing open: no timer, socket, file, thread, child or listener",
      run: () =>
        leavesNothing((signal) =>
          opened(async (hand) => {
            const run = { ...hand.to, signal };
            for (const call of Object.values(callsOf(hand))) await call(run);
            await assert.rejects(hand.store.upsert([misfit(hand.vector)], run));
            // One that is not read to its end.
            for await (const _ of hand.store.list("", run)) break;
          }),
        ),
    },
  ];
}

/** One that the index can never hold. */
function misfit(vector: StoreHand["vector"]): Vector {
  return { ...vector("short"), values: Float32Array.of(1, 2, 3) };
}

function unitVector(dimensions: number): Float32Array {
  const values = Float32Array.from({ length: dimensions }, () => Math.random() - 0.5);
  const length = Math.hypot(...values);
  return values.map((value) => value / length);
}

async function everything(store: VectorStore, to: StoreRun): Promise<readonly Vector[]> {
  const found: Vector[] = [];
  for await (const ids of store.list("", to))
    for (let at = 0; at < ids.length; at += store.limits.maxFetchIds)
      found.push(...(await store.fetch(ids.slice(at, at + store.limits.maxFetchIds), to)));
  return found.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}
