import { word, type Case } from "./conformance.ts";
import { consumer } from "./fakes/consumer.ts";
import { queue } from "./fakes/queue.ts";
import type { SinkBench } from "./sink.ts";

/** Which of several changes of a record stands, however they arrive. */
export function sinkOrderCases({ opened, assertHolds }: SinkBench): readonly Case[] {
  return [
    {
      name: "of equal versions the later one stands",
      run: () =>
        opened(async ({ put, write }) => {
          const [first, later] = [word(), word()];
          await write([put("r", 1, first)]);
          await write([put("r", 1, later)]);
          await assertHolds({ [first]: false, [later]: true });
        }),
    },
    {
      name: "an older version after a newer one changes nothing",
      run: () =>
        opened(async ({ put, remove, write }) => {
          const [newer, older] = [word(), word()];
          await write([put("r", 5, newer)]);
          await write([put("r", 4, older)]);
          await write([remove("r", 3)]);
          await assertHolds({ [newer]: true, [older]: false });
        }),
    },
    {
      name: "a delete removes, and what is older does not come back",
      run: () =>
        opened(async ({ put, remove, write }) => {
          const [gone, late, back] = [word(), word(), word()];
          await write([put("r", 2, gone)]);
          await write([remove("r", 4)]);
          await write([put("r", 3, late)]);
          await assertHolds({ [gone]: false, [late]: false });
          await write([put("r", 5, back)]);
          await assertHolds({ [back]: true });
        }),
    },
    {
      name: "a record that a filter lets go, at the version it is held in, is gone, and may return",
      run: () =>
        opened(async ({ put, remove, write }) => {
          const [left, back] = [word(), word()];
          await write([put("r", 2, left)]);
          await write([remove("r", 2)]);
          await assertHolds({ [left]: false });
          await write([put("r", 2, back)]);
          await assertHolds({ [back]: true });
        }),
    },
    {
      name: "one batch that puts and deletes does both",
      run: () =>
        opened(async ({ put, remove, writer, write }) => {
          const [gone, never, back, beside] = [word(), word(), word(), word()];
          await write([put("gone", 1, gone)]);
          const topic = queue({ partitions: 1 });
          topic.publish([
            put("never", 2, never),
            remove("gone", 2),
            remove("back", 3),
            put("beside", 2, beside),
            put("back", 4, back),
            remove("never", 5),
          ]);
          const { handle } = await consumer({ write: writer.write });
          await topic.drain(handle);
          await assertHolds({ [gone]: false, [never]: false, [back]: true, [beside]: true });
        }),
    },
    {
      name: "keeps the order of each key while partitions write at once",
      run: () =>
        opened(async ({ put, remove, writer }) => {
          const topic = queue();
          const expected: Record<string, boolean> = {};
          const subjects = Array.from({ length: 12 }, (_, at) => `r${at}`);
          for (let at = 1; at <= 4; at += 1)
            for (const [which, subject] of subjects.entries()) {
              const text = word();
              const isGone = at === 4 && which % 3 === 0;
              expected[text] = at === 4 && !isGone;
              topic.publish([isGone ? remove(subject, at) : put(subject, at, text)]);
            }
          const { handle } = await consumer({ write: writer.write });
          await topic.drain(handle);
          await assertHolds(expected);
        }),
    },
    {
      name: "what was written before, written again by itself, changes nothing",
      run: () =>
        opened(async ({ put, remove, write }) => {
          const [gone, old, kept] = [word(), word(), word()];
          const history = [
            [put("r", 1, gone)],
            [put("s", 2, old), remove("r", 3)],
            [put("s", 4, kept)],
          ];
          for (const batch of history) await write(batch);
          for (const batch of history) {
            await write(batch, { redelivered: true });
            await assertHolds({ [gone]: false, [old]: false, [kept]: true });
          }
        }),
    },
  ];
}
