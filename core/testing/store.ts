import assert from "node:assert/strict";
import type { VectorStoreExtension } from "../extension.ts";
import type { StoreRun, Vector, VectorStore } from "../vectors.ts";
import { definitionCases, settles, word, type Case } from "./conformance.ts";
import { context } from "./fakes/context.ts";
import { leavesNothing } from "./leftovers.ts";
import { secretCases } from "./secrets.ts";
import { storeKillCases } from "./store-kills.ts";
import { storeLimitCases } from "./store-limits.ts";
import { makesNothing, storeReadCases } from "./store-reads.ts";

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
}

export type OpenedStore = (use: (hand: StoreHand) => Promise<void>) => Promise<void>;

/**
 * What vector sync relies on in a `VectorStore`. Every case takes a namespace of its own, and empties it.
 * `dimensions` (8) is what the index is opened with; `patienceMs` (5 s) how far it may be behind its writes.
 * `module`, the URL of the module that exports the store, has it killed at each step, in a process of its own:
 * what it writes to must outlive a process. `absent`, the config of an index that is not there, which a writer would
 * make, proves that a reader makes none.
 */
export function vectorStoreConformance(given: {
  readonly store: VectorStoreExtension;
  readonly config: Record<string, unknown>;
  readonly dimensions?: number;
  readonly patienceMs?: number;
  readonly module?: URL | string;
  readonly absent?: Record<string, unknown>;
}): readonly Case[] {
  const { store: extension, config, dimensions = 8, patienceMs = 5_000, module, absent } = given;
  const open = (told = context<unknown>({ config: extension.config.parse(config) })) =>
    extension.open({ ...told, dimensions, readOnly: false });

  const vector: StoreHand["vector"] = (id, { towards = 0, text = id } = {}) => ({
    id,
    values: Float32Array.from({ length: dimensions }, (_, at) =>
      at === towards % dimensions ? 1 : 0.25,
    ),
    metadata: { text, count: 2, ratio: 0.5, isLive: true, tags: ["a", "b"] },
  });
  const within = async (namespace: string, use: (hand: StoreHand) => Promise<void>) => {
    const store = await open();
    const to = { namespace, signal: new AbortController().signal };
    const shows: StoreHand["shows"] = (expected) =>
      settles(patienceMs, async () =>
        assert.deepEqual(
          await everything(store, to),
          expected.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
        ),
      );
    try {
      await use({ store, to, vector, shows });
    } finally {
      await store.close();
    }
  };
  const opened: OpenedStore = (use) =>
    within(word(), async (hand) => {
      const { store, to } = hand;
      await use(hand);
      for await (const ids of store.list("", to)) await store.remove(ids, to);
    });
  const shared = { store: extension, config, dimensions, patienceMs, vector, within };

  return [
    ...definitionCases(extension, config),
    ...secretCases(extension, config, async (told) => {
      const store = await open(told);
      try {
        await store.describe(told);
      } finally {
        await store.close();
      }
    }),
    {
      name: "says what the index is",
      run: () =>
        opened(async ({ store, to }) => {
          assert.equal((await store.describe(to)).dimensions, dimensions);
        }),
    },
    {
      name: "gives back what was put, metadata of every type included",
      run: () =>
        opened(async ({ store, to, vector, shows }) => {
          const all = [
            vector("a#1"),
            vector("a#2", { towards: 3, text: 'naïve 猫 "quoted"' }),
            { ...vector("a#3"), metadata: numbers },
          ];
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
    ...storeReadCases(opened),
    ...(absent === undefined ? [] : [makesNothing(extension, absent)]),
    ...storeLimitCases(opened),
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
          opened(async ({ store, to, vector }) => {
            await store.upsert([vector("a")], { ...to, signal });
            await store.query({ vector: vector("a").values, topK: 1 }, { ...to, signal });
          }),
        ),
    },
  ];
}

/** What a type of too few bits, or one for texts and lists alone, would change. */
const numbers = {
  zero: 0,
  negative: -3,
  unsigned: 2 ** 31 + 1,
  milliseconds: 1_790_000_000_123,
  exact: 0.1,
  isLive: false,
  empty: "",
};

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
