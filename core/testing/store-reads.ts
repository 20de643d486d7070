import assert from "node:assert/strict";
import type { StoreRun, VectorStore } from "../vectors.ts";
import type { VectorStoreExtension } from "../extension.ts";
import { word, type Case } from "./conformance.ts";
import { context } from "./fakes/context.ts";
import type { OpenedStore } from "./store.ts";

/** What a pattern of a database, or of a shell, would take for one another. */
const literal = ["a_b#1", "axb#1", "a%b#1", "axxb#1", "a*b#1", "a.b#1", "A_b#1", "a[b#1", "a\\b#1"];

/** How a store is read. */
export function storeReadCases(opened: OpenedStore): readonly Case[] {
  return [
    {
      name: "leaves out of a fetch what is absent",
      run: () =>
        opened(async ({ store, to, vector, shows }) => {
          await store.upsert([vector("b"), vector("a")], to);
          await shows([vector("a"), vector("b")]);
          const found = await store.fetch(["a", "never", "b"], to);
          assert.deepEqual(found.map(({ id }) => id).toSorted(), ["a", "b"]);
          assert.deepEqual(await store.fetch(["a"], { ...to, namespace: word() }), []);
        }),
    },
    {
      name: "lists the ids of a prefix as it is written, all of them, ascending by bytes",
      run: () =>
        opened(async ({ store, to, vector, shows }) => {
          const ids = Array.from({ length: 230 }, (_, at) => `d${at % 2}#${at}`);
          const some = [...ids, "d1", "d1$", "D1#x", "d1~", ...literal];
          const all = some.map((id) => vector(id));
          const { maxVectors } = store.limits;
          for (let at = 0; at < all.length; at += maxVectors)
            await store.upsert(all.slice(at, at + maxVectors), to);
          await shows(all);
          const wanted = (prefix: string) =>
            some
              .filter((id) => id.startsWith(prefix))
              .toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
          for (const prefix of ["d1#", "d", "", "no", "D", "a_", "a%", "a*", "a.", "A_b"])
            assert.deepEqual(await listed(store, prefix, to), wanted(prefix));
        }),
    },
    {
      name: "keeps namespaces apart, alike as their names may be",
      run: () =>
        opened(async ({ store, to, vector, shows }) => {
          const names = ["", "-x", "_x", ".x", "-X", "-xx"].map((tail) => `${to.namespace}${tail}`);
          const runs = names.map((namespace) => ({ ...to, namespace }));
          const own = (namespace: string) => vector("a", { text: namespace });
          for (const run of runs) await store.upsert([own(run.namespace)], run);
          await shows([own(to.namespace)]);
          await store.remove(["a"], to);
          await shows([]);
          for (const run of runs.slice(1)) {
            assert.deepEqual(await store.fetch(["a"], run), [own(run.namespace)]);
            await store.remove(["a"], run);
          }
        }),
    },
    {
      name: "names its namespaces, if it can",
      run: () =>
        opened(async ({ store, to, vector, shows }) => {
          if (!store.namespaces) return;
          await store.upsert([vector("a")], to);
          await shows([vector("a")]);
          const names: string[] = [];
          for await (const page of store.namespaces(to)) names.push(...page);
          assert.ok(names.includes(to.namespace));
          assert.equal(new Set(names).size, names.length);
        }),
    },
    {
      name: "answers the nearest first, as many as asked, with their metadata",
      run: () =>
        opened(async ({ store, to, vector, shows }) => {
          const all = [0, 1, 2, 3].map((towards) => vector(`v${towards}`, { towards }));
          await store.upsert(all, to);
          await shows(all);
          const { values } = vector("question", { towards: 2 });
          const { matches } = await store.query({ vector: values, topK: 2 }, to);
          assert.equal(matches.length, 2);
          assert.equal(matches[0]?.id, "v2");
          assert.deepEqual(matches[0].metadata, all[2]?.metadata);
          const elsewhere = { ...to, namespace: word() };
          assert.deepEqual((await store.query({ vector: values, topK: 2 }, elsewhere)).matches, []);
        }),
    },
    {
      name: "orders by the metric it says it has",
      run: () =>
        opened(async ({ store, to, vector, shows }) => {
          const { metric } = await store.describe(to);
          const { values } = vector("question");
          const turned = vector("", { towards: 1 }).values;
          const mixed = (share: number, length: number) =>
            values.map((value, at) => length * (value + share * (turned[at] ?? 0)));
          // The same way, near, and far: each metric has another order of them.
          const all = [
            { ...vector("along"), values: mixed(0, 0.25) },
            { ...vector("near"), values: mixed(0.2, 0.9) },
            { ...vector("far"), values: mixed(0.6, 10) },
          ];
          await store.upsert(all, to);
          await shows(all);
          const { matches } = await store.query({ vector: values, topK: 3 }, to);
          assert.deepEqual(
            matches.map(({ id }) => id),
            orderBy[metric],
            `by ${metric}`,
          );
          const scores = matches.map(({ score }) => (metric === "euclidean" ? -score : score));
          assert.deepEqual(
            scores,
            scores.toSorted((a, b) => b - a),
            "scores",
          );
        }),
    },
    {
      name: "answers with as many as asked, where there are as many",
      run: () =>
        opened(async ({ store, to, vector, shows }) => {
          const all = Array.from({ length: 60 }, (_, at) => vector(`v${10 + at}`, { towards: at }));
          const { maxVectors } = store.limits;
          for (let at = 0; at < all.length; at += maxVectors)
            await store.upsert(all.slice(at, at + maxVectors), to);
          await shows(all);
          const { values } = vector("question");
          const { matches } = await store.query({ vector: values, topK: 50 }, to);
          assert.equal(new Set(matches.map(({ id }) => id)).size, 50);
        }),
    },
  ];
}

const orderBy = {
  cosine: ["along", "near", "far"],
  dotproduct: ["far", "near", "along"],
  euclidean: ["near", "along", "far"],
};

/** Opened twice to be read, an index that is not there is still not there. */
export function makesNothing(
  extension: VectorStoreExtension,
  absent: Record<string, unknown>,
): Case {
  const isThere = async () => {
    const told = context<unknown>({ config: extension.config.parse(absent) });
    try {
      const store = await extension.open({ ...told, readOnly: true });
      try {
        await store.describe(told);
      } finally {
        await store.close();
      }
      return true;
    } catch {
      return false;
    }
  };
  return {
    name: "makes nothing when it is opened to be read",
    run: async () => {
      assert.equal(await isThere(), false, "made an index");
      assert.equal(await isThere(), false, "made an index");
    },
  };
}

async function listed(store: VectorStore, prefix: string, to: StoreRun): Promise<string[]> {
  const ids: string[] = [];
  for await (const page of store.list(prefix, to)) ids.push(...page);
  return ids;
}
