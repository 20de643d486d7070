import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { PoisonError } from "../../errors.ts";
import { isUpsert, type SluiceEvent } from "../../event.ts";
import { fakes } from "../index.ts";
import { words } from "../mutants/words.test.data.ts";

const record = (subject: string, text: string) => fakes.record(subject, { text });

describe("the fake queue", () => {
  it("hands over each key's events in order, and partitions at once", async () => {
    const topic = fakes.queue({ partitions: 2 });
    for (const text of ["1", "2", "3"])
      topic.publish(["a", "b", "c", "d"].map((subject) => record(subject, text)));
    const seen: SluiceEvent[] = [];
    let [running, most] = [0, 0];
    await topic.drain(async (events) => {
      running += 1;
      most = Math.max(most, running);
      await new Promise(setImmediate);
      seen.push(...events);
      running -= 1;
    });
    assert.equal(most, 2);
    for (const subject of ["a", "b", "c", "d"]) {
      const own = seen.filter((event) => event.subject === subject);
      assert.deepEqual(
        own,
        ["1", "2", "3"].map((text) => record(subject, text)),
      );
    }
    assert.equal(topic.waiting(), 0);
  });

  it("keeps a batch that failed first, and says so when it comes again", async () => {
    const topic = fakes.queue({ partitions: 1 });
    topic.publish([record("a", "1")]);
    topic.publish([record("a", "2")]);
    const failing = async () => {
      throw new Error("broken");
    };
    await assert.rejects(topic.drain(failing), /broken/);
    const seen: boolean[] = [];
    await topic.drain(async (_, { redelivered }) => void seen.push(redelivered));
    assert.deepEqual(seen, [true, false]);
  });
});

describe("the fake consumer", () => {
  it("sends what transforms make to the writer, and deletes for what they let go", async () => {
    const written: SluiceEvent[] = [];
    const { handle, close } = await fakes.consumer({
      transforms: [{ transform: words, config: {} }],
      write: async (events) => void written.push(...events),
    });
    await handle([record("a", "x"), fakes.record("b", { hidden: true })], fakes.writeRun());
    await close();
    assert.deepEqual(
      written.map(({ subject, type }) => [subject, type]),
      [
        ["a", "dev.sluice.record.upserted"],
        ["b", "dev.sluice.record.deleted"],
      ],
    );
  });

  it("buries what is poison and writes the rest", async () => {
    const written: (string | undefined)[] = [];
    const { handle, letters } = await fakes.consumer({
      write: async (events) => {
        if (events.some((event) => isUpsert(event) && JSON.stringify(event.data).includes("bad")))
          throw new PoisonError("no", { code: "test.no" });
        written.push(...events.map(({ subject }) => subject));
      },
    });
    await handle([record("a", "x"), record("b", "bad"), record("c", "y")], fakes.writeRun());
    assert.deepEqual(
      letters.map(({ event }) => event.subject),
      ["b"],
    );
    assert.deepEqual(new Set(written), new Set(["a", "c"]));
  });
});
