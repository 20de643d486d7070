import assert from "node:assert/strict";
import type { VectorStoreExtension } from "../extension.ts";
import { word, type Case, type WrittenConfig } from "./conformance.ts";
import { context } from "./fakes/context.ts";
import type { OpenedStore } from "./store.ts";

/** What `retrieve` asks for at most. */
const mostAsked = 100;

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
      name: "keeps namespaces apart, alike as their names may be",
      run: () =>
        opened(async ({ store, to, vector, shows, soon }) => {
          const names = ["-x", "_x", ".x", "-X", "-xx"].map((tail) => `${to.namespace}${tail}`);
          const runs = [to, ...names.map((namespace) => ({ ...to, namespace }))];
          const own = (namespace: string) => vector("a", { text: namespace });
          for (const run of runs) await store.upsert([own(run.namespace)], run);
          await shows([own(to.namespace)]);
          await store.remove(["a"], to);
          await shows([]);
          const { values } = vector("question");
          for (const run of runs) {
            const held = run === runs[0] ? [] : [own(run.namespace)];
            const ids = held.map(({ id }) => id);
            await soon(async () => {
              assert.deepEqual(await store.fetch(["a"], run), held);
              assert.deepEqual(await idsOf(store.list("", run)), ids);
              const { matches } = await store.query({ vector: values, topK: 10 }, run);
              assert.deepEqual(
                matches.map(({ metadata }) => metadata),
                held.map(({ metadata }) => metadata),
                `answers to a question of ${run.namespace}`,
              );
            });
          }
          for (const run of runs) await store.remove(["a"], run);
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
        opened(async ({ store, to, vector, shows, put }) => {
          const all = Array.from({ length: 110 }, (_, at) =>
            vector(`v${10 + at}`, { towards: at }),
          );
          await put(all);
          await shows(all);
          const { values } = vector("question");
          const { matches } = await store.query({ vector: values, topK: mostAsked }, to);
          assert.equal(new Set(matches.map(({ id }) => id)).size, mostAsked);
        }),
    },
  ];
}

const orderBy = {
  cosine: ["along", "near", "far"],
  dotproduct: ["far", "near", "along"],
  euclidean: ["near", "along", "far"],
};

/** Opened to be read, an index that is not there is still not there. */
export function makesNothing(
  extension: VectorStoreExtension,
  { absent, dimensions }: { readonly absent: WrittenConfig; readonly dimensions: number },
): Case {
  const isThere = async (how: { readonly dimensions?: number } = {}) => {
    const told = context<unknown>({ config: extension.config.parse(absent) });
    try {
      const store = await extension.open({ ...told, ...how, readOnly: true });
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
      for (const how of [{}, { dimensions }, {}])
        assert.equal(await isThere(how), false, "made an index");
    },
  };
}

async function idsOf(pages: AsyncIterable<readonly string[]>): Promise<readonly string[]> {
  const ids: string[] = [];
  for await (const page of pages) ids.push(...page);
  return ids;
}
