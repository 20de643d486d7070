import assert from "node:assert/strict";
import type { StoreRun } from "../vectors.ts";
import type { Case } from "./conformance.ts";
import { settlesOnAbort } from "./held-answers.ts";
import type { OpenedStore, StoreHand } from "./store.ts";

/** What each call does about a deadline, and about an abort while it waits for an answer. */
export function storeAbortCases(opened: OpenedStore): readonly Case[] {
  return [
    {
      name: "starts nothing after an abort or its deadline",
      run: () =>
        opened(async (hand) => {
          const { store, to, vector, shows } = hand;
          await store.upsert([vector("there")], to);
          await shows([vector("there")]);
          const late = { ...to, deadline: performance.now() - 1 };
          for (const [what, call] of Object.entries(callsOf(hand)))
            for (const run of [{ ...to, signal: AbortSignal.abort() }, late])
              await assert.rejects(
                call(run),
                `${what} went on after ${run === late ? "its deadline" : "an abort"}`,
              );
          await shows([vector("there")]);
        }),
    },
    {
      name: "settles within a second of an abort",
      run: () =>
        opened(async (hand) => {
          const { store, to, vector, shows } = hand;
          await store.upsert([vector("there")], to);
          await shows([vector("there")]);
          const { namespaces } = store;
          const calls: ReturnType<typeof callsOf> = {
            ...callsOf(hand),
            describe: (run) => store.describe(run),
            ...(namespaces && { namespaces: (run) => all(namespaces(run)) }),
          };
          for (const [what, call] of Object.entries(calls))
            await settlesOnAbort(what, (signal) => call({ ...to, signal }));
        }),
    },
  ];
}

/** The calls that are about a namespace. */
export function callsOf({ store, vector }: Pick<StoreHand, "store" | "vector">): {
  readonly [name: string]: (run: StoreRun) => Promise<unknown>;
} {
  const { values } = vector("question");
  return {
    upsert: (run) => store.upsert([vector("there", { text: "other" }), vector("new")], run),
    fetch: (run) => store.fetch(["there"], run),
    list: (run) => all(store.list("", run)),
    query: (run) => store.query({ vector: values, topK: 1 }, run),
    remove: (run) => store.remove(["there"], run),
  };
}

async function all(pages: AsyncIterable<readonly string[]>): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const page of pages) found.push(...page);
  return found;
}
