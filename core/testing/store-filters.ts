import assert from "node:assert/strict";
import { RetryableError } from "../errors.ts";
import type { JsonObject } from "../event.ts";
import { word, type Case } from "./conformance.ts";
import type { OpenedStore, StoreHand } from "./store.ts";

/** How a database is asked for the vectors whose metadata have a text in a field; `false`: it has no filters. */
type Filtering = ((field: string, text: string) => JsonObject) | false;

/** How most are asked. */
export const equality = (field: string, text: string): JsonObject => ({ [field]: text });

/** What may be found. `_subject` is a field that vector sync writes. */
const shelves = [
  { id: "a", lang: "en", _subject: "x.md" },
  { id: "b", lang: "de", _subject: "x.md" },
  { id: "c", lang: "en", _subject: "y.md" },
  { id: "d", lang: "de", _subject: "y.md" },
];

/** How a store applies the filters of questions. */
export function storeFilterCases(opened: OpenedStore, filtering: Filtering): readonly Case[] {
  /** Over those of the shelves. What is asked for points along the last of them. */
  const asked = (
    use: (
      ask: (filter: JsonObject, topK?: number) => Promise<readonly string[]>,
      hand: StoreHand,
    ) => Promise<void>,
  ) =>
    opened(async (hand) => {
      const { store, to, vector, shows } = hand;
      const all = shelves.map(({ id, ...metadata }, towards) => ({
        ...vector(id, { towards }),
        metadata,
      }));
      await store.upsert(all, to);
      await shows(all);
      const { values } = vector("question", { towards: shelves.length - 1 });
      const ask = async (filter: JsonObject, topK = 10) => {
        const { matches } = await store.query({ vector: values, topK, filter }, to);
        return matches.map(({ id }) => id).toSorted();
      };
      await use(ask, hand);
    });
  /** That it is refused for good: it gets no better by waiting. */
  const refuses = async (asking: Promise<readonly string[]>, filter: JsonObject) => {
    const what = JSON.stringify(filter);
    const answer: unknown = await asking.catch((error: unknown) => error);
    if (answer instanceof Error)
      return assert.ok(!(answer instanceof RetryableError), `would ask again by ${what}`);
    assert.deepEqual(answer, [], `found by ${what}`);
  };

  if (filtering === false)
    return [
      {
        name: "refuses every filter, for it has none",
        run: () =>
          asked(async (ask) => {
            const one = equality("lang", "en");
            for (const filter of [one, { $and: [one, one] }]) await refuses(ask(filter), filter);
          }),
      },
    ];

  const english = filtering("lang", "en");
  const ofX = filtering("_subject", "x.md");
  return [
    {
      name: "finds what its filter lets it find, and of two filters what both do",
      run: () =>
        asked(async (ask, { soon }) => {
          const expected: readonly (readonly [JsonObject, readonly string[]])[] = [
            [english, ["a", "c"]],
            [ofX, ["a", "b"]],
            [{ $and: [english, ofX] }, ["a"]],
            [{ $and: [english, filtering("lang", "de")] }, []],
            [filtering("lang", word()), []],
            [filtering(word(), "en"), []],
          ];
          for (const [filter, ids] of expected)
            await soon(async () =>
              assert.deepEqual(await ask(filter), ids, JSON.stringify(filter)),
            );
        }),
    },
    {
      name: "finds as many as asked of those that its filter lets it find",
      run: () =>
        asked(async (ask, { soon }) =>
          // The nearest of all is not among them.
          soon(async () => {
            const ids = await ask(english, 1);
            assert.equal(ids.length, 1);
            assert.ok(
              ids.every((id) => ["a", "c"].includes(id)),
              `found ${ids.join()}`,
            );
          }),
        ),
    },
    {
      name: "leaves nothing out of a filter that it cannot apply",
      run: () =>
        asked(async (ask, { soon }) => {
          await soon(async () => assert.deepEqual(await ask(english), ["a", "c"]));
          const unknown = { [`$${word()}`]: "en" };
          for (const filter of [
            unknown,
            { lang: unknown },
            { ...english, ...unknown },
            { $and: [english, unknown] },
            { $and: [english, { lang: unknown }] },
          ])
            await refuses(ask(filter), filter);
        }),
    },
  ];
}
