import assert from "node:assert/strict";
import { it } from "vitest";
import type { SluiceEvent } from "../event.ts";
import type { DeadLetter } from "../queue/queue.ts";
import { undertaker } from "./bury.ts";
import { replayLetters } from "./replay.ts";
import type { TaskRun } from "./task.ts";

it("messages of one key come again as they were given up on, be it in one millisecond", async () => {
  const letters: DeadLetter[] = [];
  const bury = undertaker("snk", {
    backend: { deadLetters: { add: async (letter: DeadLetter) => void letters.push(letter) } },
    board: { deadLettered: () => {} },
    log: { debug() {}, info() {}, warn() {}, error() {} },
    scrub: (text: string) => text,
  } as unknown as TaskRun);
  const ids = Array.from({ length: 300 }, (_, n) => `m${n}`);
  for (const id of ids) {
    const event: SluiceEvent = { specversion: "1.0", id, source: "/s", type: "t" };
    await bury({ topic: "t", event, stage: "write", error: new Error("no"), attempts: 1 });
  }
  const published: string[] = [];
  const byId = letters.toSorted((a, b) => (a.id < b.id ? -1 : 1)); // as state lists them
  await replayLetters(
    "snk",
    byId,
    {
      topics: {
        subscriptions: async () => [
          { topic: "t", name: "snk", waiting: 0, oldestMs: 0, consumers: 1 },
        ],
        publish: async (_: string, events: readonly SluiceEvent[]) =>
          void published.push(...events.map(({ id }) => id)),
      },
      deadLetters: { remove: async () => {} },
    } as unknown as Parameters<typeof replayLetters>[2],
    { signal: new AbortController().signal },
  );
  assert.deepEqual(published, ids);
});
