import assert from "node:assert/strict";
import type { StoreRun, VectorStore } from "../vectors.ts";
import type { Case } from "./conformance.ts";
import type { OpenedStore } from "./store.ts";

/** What a pattern of a database, or of a shell, would take for one another. */
const literal = ["a_b#1", "axb#1", "a%b#1", "axxb#1", "a*b#1", "a.b#1", "A_b#1", "a[b#1", "a\\b#1"];
/** More than databases answer with that were not asked for more. */
const many = 1_100;

/** The lists of a store. */
export function storeListCases(opened: OpenedStore): readonly Case[] {
  return [
    {
      name: "lists the ids of a prefix as it is written, all of them, ascending by bytes",
      run: () =>
        opened(async ({ store, to, vector, shows, put }) => {
          const ids = Array.from({ length: 230 }, (_, at) => `d${at % 2}#${at}`);
          const some = [...ids, "d1", "d1$", "D1#x", "d1~", ...literal];
          const all = some.map((id) => vector(id));
          await put(all);
          await shows(all);
          for (const prefix of ["d1#", "d", "", "no", "D", "a_", "a%", "a*", "a.", "A_b"])
            assert.deepEqual(
              await listed(store, prefix, to),
              ordered(some.filter((id) => id.startsWith(prefix))),
            );
        }),
    },
    {
      name: "lists on to the end, however many there are",
      run: () =>
        opened(async ({ store, to, vector, put, soon }) => {
          const ids = Array.from({ length: many }, (_, at) => `d#${at}`);
          await put([...ids, "e"].map((id) => vector(id)));
          await soon(async () => assert.deepEqual(await listed(store, "d#", to), ordered(ids)));
        }),
    },
    {
      name: "lists on while what it listed is removed",
      run: () =>
        opened(async ({ store, to, vector, shows, put }) => {
          const all = Array.from({ length: 230 }, (_, at) => vector(`d#${at}`));
          await put(all);
          await shows(all);
          const seen: string[] = [];
          for await (const page of store.list("", to)) {
            seen.push(...page);
            const { maxDeleteIds } = store.limits;
            for (let at = 0; at < page.length; at += maxDeleteIds)
              await store.remove(page.slice(at, at + maxDeleteIds), to);
          }
          assert.deepEqual(seen, ordered(all.map(({ id }) => id)));
          await shows([]);
        }),
    },
  ];
}

async function listed(store: VectorStore, prefix: string, to: StoreRun): Promise<string[]> {
  const ids: string[] = [];
  for await (const page of store.list(prefix, to)) ids.push(...page);
  return ids;
}

function ordered(ids: readonly string[]): string[] {
  return ids.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}
