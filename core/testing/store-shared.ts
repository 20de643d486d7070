import assert from "node:assert/strict";
import type { Vector, VectorStore } from "../vectors.ts";
import type { Case } from "./conformance.ts";
import type { OpenedStore, StoreBench } from "./store.ts";

const rounds = 10;

/** What several see that opened one index: its writers, and those who ask. */
export function storeSharedCases({
  open,
  opened,
  dimensions,
  handOf,
}: StoreBench): readonly Case[] {
  /** Beside another one of the same config. */
  const besides =
    (use: (one: Hand, other: Hand) => Promise<void>, how: Parameters<typeof open>[0] = {}) =>
    (): Promise<void> =>
      opened(async (one) => {
        const store = await open(how);
        try {
          await use(one, handOf(store, one.to));
        } finally {
          await store.close();
        }
      });

  return [
    {
      name: "opened twice, each sees what the other writes",
      run: besides(async (one, other) => {
        const { vector, to } = one;
        await one.store.upsert([vector("a"), vector("b")], to);
        await other.shows([vector("a"), vector("b")]);
        await other.store.upsert([vector("c")], to);
        await other.store.remove(["a"], to);
        await one.shows([vector("b"), vector("c")]);
        await findsBy(one, ["b", "c"]);
        await one.store.upsert([vector("b", { text: "anew" })], to);
        await other.shows([vector("b", { text: "anew" }), vector("c")]);
      }),
    },
    {
      name: "opened to be read, it sees what is written afterwards",
      run: besides(
        async (writer, reader) => {
          const { vector, to } = writer;
          await writer.store.upsert([vector("a"), vector("b")], to);
          await reader.shows([vector("a"), vector("b")]);
          await findsBy(reader, ["a", "b"]);
          await writer.store.remove(["a"], to);
          await reader.shows([vector("b")]);
          await findsBy(reader, ["b"]);
        },
        { readOnly: true },
      ),
    },
    {
      name: "written to through two at once, it loses nothing",
      run: besides(async (one, other) => {
        const { vector, to } = one;
        const held: Vector[] = [];
        for (let round = 10; round < 10 + rounds; round += 1) {
          const [a, b, gone] = ["a", "b", "gone"].map((name) => vector(`${round}-${name}`));
          assert.ok(a && b && gone);
          await one.store.upsert([gone], to);
          await Promise.all([
            one.store.upsert([a], to),
            other.store.upsert([b], to),
            other.store.remove([gone.id], to),
          ]);
          held.push(a, b);
        }
        await one.shows(held);
        await other.shows(held);
      }),
    },
    {
      name: "opened with other dimensions, it keeps what is there",
      run: () =>
        opened(async ({ store, to, vector, shows }) => {
          await store.upsert([vector("a")], to);
          await shows([vector("a")]);
          const other = await open({ dimensions: 2 * dimensions }).catch(() => undefined);
          // To refuse is fine, and so is to say what it is.
          try {
            if (other) assert.equal((await other.describe(to)).dimensions, dimensions);
          } finally {
            await other?.close();
          }
          await shows([vector("a")]);
          const again = await open();
          try {
            assert.equal((await again.describe(to)).dimensions, dimensions);
            await handOf(again, to).shows([vector("a")]);
          } finally {
            await again.close();
          }
        }),
    },
  ];
}

type Hand = Parameters<Parameters<OpenedStore>[0]>[0];

async function findsBy({ store, to, vector, soon }: Hand, ids: readonly string[]): Promise<void> {
  const { values } = vector("question");
  await soon(async () => assert.deepEqual(await found(store, values, to), ids));
}

async function found(
  store: VectorStore,
  vector: Float32Array,
  to: Hand["to"],
): Promise<readonly string[]> {
  const { matches } = await store.query({ vector, topK: 10 }, to);
  return matches.map(({ id }) => id).toSorted();
}
