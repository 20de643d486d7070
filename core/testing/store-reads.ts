import assert from "node:assert/strict";
import type { StoreRun, VectorStore } from "../vectors.ts";
import { word, type Case } from "./conformance.ts";
import type { OpenedStore } from "./store.ts";

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
      name: "lists the ids of a prefix, all of them, ascending by bytes",
      run: () =>
        opened(async ({ store, to, vector, shows }) => {
          const ids = Array.from({ length: 230 }, (_, at) => `d${at % 2}#${at}`);
          const some = [...ids, "d1", "d1$", "D1#x", "d1~"];
          const all = some.map((id) => vector(id));
          const { maxVectors } = store.limits;
          for (let at = 0; at < all.length; at += maxVectors)
            await store.upsert(all.slice(at, at + maxVectors), to);
          await shows(all);
          const wanted = (prefix: string) =>
            some
              .filter((id) => id.startsWith(prefix))
              .toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
          for (const prefix of ["d1#", "d", "", "no"])
            assert.deepEqual(await listed(store, prefix, to), wanted(prefix));
        }),
    },
    {
      name: "keeps namespaces apart",
      run: () =>
        opened(async ({ store, to, vector, shows }) => {
          const other = { ...to, namespace: word() };
          const theirs = vector("a", { text: "theirs" });
          await store.upsert([vector("a")], to);
          await store.upsert([theirs], other);
          await store.remove(["a"], to);
          await shows([]);
          assert.deepEqual(await store.fetch(["a"], other), [theirs]);
          await store.remove(["a"], other);
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
  ];
}

async function listed(store: VectorStore, prefix: string, to: StoreRun): Promise<string[]> {
  const ids: string[] = [];
  for await (const page of store.list(prefix, to)) ids.push(...page);
  return ids;
}
