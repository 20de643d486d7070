import { expect, it } from "vitest";
import type { DeadLetter, DeadLetters } from "../queue/queue.ts";
import { givenUp, producersOf } from "./given-up.ts";
import type { Producer } from "./producers.ts";

const transform = (name: string, from: readonly string[], topic: string): Producer => ({
  kind: "transform",
  name,
  from,
  topic,
});

it("knows who has a part in what comes to a topic, round a loop too", () => {
  const all: readonly Producer[] = [
    { kind: "source", name: "door", topic: "questions", snapshots: false },
    transform("understand", ["questions", "answers"], "embedded"),
    transform("model", ["embedded"], "answers"),
    transform("statistics", ["questions"], "numbers"),
  ];
  expect(producersOf("answers", all)).toEqual(["model", "understand", "door"]);
  expect(producersOf("nothing", all)).toEqual([]);
});

it("tells of questions, and not of answers that somebody could not take", async () => {
  const letter = (type: string): DeadLetter => ({
    id: type,
    connector: "one",
    stage: "s",
    topic: "t",
    event: { specversion: "1.0", id: "1", source: "/s", type, correlationid: "q" },
    error: { code: "c", message: "no." },
    attempts: 1,
    firstAt: "2026-01-01T00:00:00Z",
    lastAt: "2026-01-01T00:00:01Z",
  });
  const of = (type: string) =>
    givenUp(["q"], ["one"], {
      correlated: async () => [letter(type)],
    } as unknown as DeadLetters); // all that is asked
  expect(await of("dev.sluice.question.asked")).toEqual([
    {
      correlationid: "q",
      connector: "one",
      error: { code: "c", message: "no." },
      at: "2026-01-01T00:00:01Z",
    },
  ]);
  expect(await of("dev.sluice.answer.given")).toEqual([]);
});
