import { inScope } from "../queue/partition.ts";
import { word, type Case } from "./conformance.ts";
import type { SinkBench } from "./sink.ts";

/** As many events as a batch may hold. */
const many = 1_000;
/** Texts that together have more than the 64 KiB that many a column holds. */
const textsOfLong = 130;
/** More than a page of what a database lists, or takes at once. */
const pages = 130;
const filler = "naïve 猫 🐈 ".repeat(50);

/** How much a sink holds, and what must not become one: long records, many of them, and those that look alike. */
export function sinkExtentCases({ opened, assertHolds }: SinkBench): readonly Case[] {
  const all = (texts: readonly string[], isHeld: boolean) =>
    Object.fromEntries(texts.map((text) => [text, isHeld]));

  return [
    {
      name: "a record that shrinks leaves nothing behind, however many parts go",
      run: () =>
        opened(async ({ put, write }) => {
          const [one, two, three, four] = [word(), word(), word(), word()];
          const [a, b, c, d] = [word(), word(), word(), word()];
          await write([put("to-one", 1, one, two, three), put("to-two", 1, a, b, c, d)]);
          await assertHolds(all([one, two, three, a, b, c, d], true));
          await write([put("to-one", 2, one), put("to-two", 2, b, d)]);
          await assertHolds({ ...all([two, three, a, c], false), ...all([one, b, d], true) });
          await write([put("to-one", 3, three, four), put("to-two", 3, c)]);
          await assertHolds({ ...all([one, a, b, d], false), ...all([three, four, c], true) });
          const [first = "", ...rest] = Array.from({ length: pages }, word);
          await write([put("large", 1, first, ...rest)]);
          await write([put("large", 2, first)]);
          await assertHolds({ [first]: true, ...all(rest, false) });
        }),
    },
    {
      name: "a record of several parts goes whole, by a delete, a filter or a clear",
      run: () =>
        opened(async ({ put, remove, clear, write }) => {
          const parts = () => [word(), word(), word()];
          const [deleted, leaving, above] = [parts(), parts(), parts()];
          const [below, beside] = [parts(), parts()];
          await write([put("deleted", 1, ...deleted), put("leaving", 1, ...leaving)]);
          await write([put("below", 1, ...below), put("beside", 1, ...beside)]);
          await write([put("above", 3, ...above)]);
          await write([remove("deleted", 2), remove("leaving", 1)]);
          await assertHolds({
            ...all([...deleted, ...leaving], false),
            ...all([...below, ...beside, ...above], true),
          });
          await write([clear(2)]);
          await assertHolds({ ...all([...below, ...beside], false), ...all(above, true) });
          const many = () => Array.from({ length: pages }, word);
          const [large, some] = [many(), many()];
          await write([put("large", 3, ...large)]);
          await write([remove("large", 4)]);
          await assertHolds(all(large, false));
          await write(some.map((text, at) => put(`some${at}`, 3, text)));
          const everything = clear(4);
          // A sink may guard itself against sweeps that go far; an emptied table is obeyed.
          await write([{ ...everything, data: { ...everything.data, reason: "truncate" } }]);
          await assertHolds(all(some, false));
        }),
    },
    {
      name: "a copy of a clear removes only what is in its scope",
      run: () =>
        opened(async ({ put, clear, write }) => {
          const texts = Array.from({ length: 12 }, word);
          const puts = texts.map((text, at) => put(`scoped${at}`, 1, text));
          await write(puts);
          const scope = { partition: 1, of: 3 };
          const whole = clear(2);
          await write([{ ...whole, id: `${whole.id}/1`, data: { ...whole.data, scope } }]);
          const kept = puts.map(({ partitionkey }) => !inScope(partitionkey, scope));
          await assertHolds(Object.fromEntries(texts.map((text, at) => [text, kept[at] === true])));
        }),
    },
    {
      name: "a long record is whole, whatever letters it has",
      run: () =>
        opened(async ({ put, write }) => {
          const texts = Array.from({ length: textsOfLong }, () => word() + filler);
          await write([put("long", 1, ...texts)]);
          await assertHolds(all(texts, true));
        }),
    },
    {
      name: "records whose subjects look alike are strangers",
      run: () =>
        opened(async ({ put, remove, write }) => {
          const texts = new Map(alike.map((subject) => [subject, word()]));
          const held = () =>
            Object.fromEntries([...texts].map(([key, text]) => [text, !gone.has(key)]));
          const gone = new Set<string>();
          await write([...texts].map(([subject, text]) => put(subject, 1, text)));
          await assertHolds(held());
          for (const subject of alike.filter((_, at) => at % 2 === 0)) gone.add(subject);
          await write([...gone].map((subject) => remove(subject, 2)));
          await assertHolds(held());
        }),
    },
    {
      name: "a batch of a thousand events is written whole",
      run: () =>
        opened(async ({ put, remove, write }) => {
          const texts = Array.from({ length: many }, word);
          await write(texts.map((text, at) => put(`r${at}`, 1, text)));
          await assertHolds(all(texts, true));
          await write(texts.map((_, at) => remove(`r${at}`, 2)));
          await assertHolds(all(texts, false));
        }),
    },
  ];
}

const long = "long/".repeat(60);

/** Each another record: none of them may be folded, cut, escaped or cleaned into another. */
const alike = [
  ..."a|A|á|a\u0301|b|b |b_|b-|b.|b:|b/|b\\|b%|b%20|b+|b*|b?|b#|b'|b\"|b/c|b_c|b c|b%2Fc|b//c|b/./c".split(
    "|",
  ),
  ...'../b|ß|ss|SS|1|01|1.0|[1]|["1"]|猫|犬|🐈|🐕|constructor|__proto__|null|%|_|.|..'.split("|"),
  `${long}1`,
  `${long}2`,
];
