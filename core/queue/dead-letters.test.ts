import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { deleted } from "../event.ts";
import { openEmbeddedState } from "../state/embedded/index.ts";
import type { StatePlace } from "../state/state.ts";
import { version } from "../version.ts";
import { openDeadLetters } from "./dead-letters.ts";
import type { DeadLetter, DeadLetters } from "./queue.ts";

let dir: string;
let place: StatePlace;
let letters: DeadLetters;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "sluice-letters-"));
  place = openEmbeddedState({ dir });
  letters = openDeadLetters(place.scope);
});
afterAll(async () => {
  await place.close();
  rmSync(dir, { recursive: true, force: true });
});

function letter(connector: string, id: string, attempts = 1): DeadLetter {
  const event = deleted({
    source: "/file/notes",
    key: id,
    subject: id,
    version: version({ epoch: 0, position: 1n, rank: 1, tail: 0 }),
    time: "2026-01-01T00:00:00Z",
    meta: {},
  });
  return {
    id,
    connector,
    stage: "write",
    topic: "notes",
    event,
    error: { code: "pinecone.rejected", message: "pinecone: no." },
    attempts,
    firstAt: "2026-01-01T00:00:00Z",
    lastAt: "2026-01-01T00:00:01Z",
  };
}

async function list(connector: string, options?: Parameters<DeadLetters["list"]>[1]) {
  const all: DeadLetter[] = [];
  for await (const page of letters.list(connector, options)) all.push(...page);
  return all;
}

it("keeps a letter whole, and the same id is the same letter", async () => {
  await letters.add(letter("whole", "a"));
  await letters.add(letter("whole", "a", 2));
  expect(await list("whole")).toEqual([letter("whole", "a", 2)]);
  expect(await letters.count("whole")).toBe(1);
});

it("lists page by page after an id, and removes by id", async () => {
  for (const id of ["a", "b", "c", "d"]) await letters.add(letter("paged", id));
  expect((await list("paged", { after: "b", pageSize: 1 })).map(({ id }) => id)).toEqual([
    "c",
    "d",
  ]);
  await letters.remove("paged", ["a", "c", "never"]);
  expect((await list("paged")).map(({ id }) => id)).toEqual(["b", "d"]);
  expect(await letters.count("other")).toBe(0);
});

it("finds the letters of a correlation, the last of each, until they are removed", async () => {
  const about = (id: string, correlationid: string): DeadLetter => {
    const one = letter("asked", id);
    return { ...one, event: { ...one.event, correlationid } };
  };
  await letters.add(letter("asked", "none"));
  await letters.add(about("a", "q1"));
  await letters.add(about("b", "q2"));
  await letters.add(about("c", "q2"));
  const found = async (...ids: readonly string[]) =>
    (await letters.correlated("asked", ids)).map(({ id }) => id);
  expect(await found("q1", "q2", "q3")).toEqual(["a", "c"]);
  await letters.remove("asked", ["b", "none"]);
  expect(await found("q1", "q2")).toEqual(["a", "c"]);
  await letters.remove("asked", ["a", "c"]);
  expect(await found("q1", "q2")).toEqual([]);
  for await (const page of place.scope("dead-letters/asked").state.scan(""))
    expect(page).toEqual([]);
});

const parked = (id: string, order: string) => ({
  ...letter("parks", id),
  line: "key",
  order,
});
async function standing(): Promise<readonly string[]> {
  const ids: string[] = [];
  for await (const page of letters.standing("parks", "key")) ids.push(...page.map(({ id }) => id));
  return ids;
}

it("keeps letters in lines: in their order, as long as one stands in it, against whoever does not know it", async () => {
  const line = async () => (await letters.lines("parks", ["key"]))[0];
  expect(await letters.park(parked("z", "1"), undefined)).toBe(true);
  expect(await letters.park(parked("late", "2"), undefined)).toBe(false);
  expect(await letters.park(parked("a", "3"), await line())).toBe(true);
  expect(await standing()).toEqual(["z", "a"]);
  expect(await line()).toMatchObject({ last: "3", isReleased: false });

  await letters.release("parks", "key");
  await letters.release("parks", "none");
  expect(await letters.lines("parks", ["none", "key"])).toMatchObject([
    undefined,
    { isReleased: true },
  ]);
  // Refused again: where it stood, and the line waits again.
  expect(await letters.park({ ...parked("z", "1"), attempts: 2 }, await line())).toBe(true);
  expect(await standing()).toEqual(["z", "a"]);
  expect(await line()).toMatchObject({ last: "3", isReleased: false });

  await letters.remove("parks", ["z"]);
  expect(await letters.occupied("parks", "key")).toMatchObject({ last: "3" });
  await letters.remove("parks", ["a"]);
  for await (const page of place.scope("dead-letters/parks").state.scan(""))
    expect(page).toEqual([]);
});

it("clears away a line that a crash left without letters", async () => {
  const { state } = place.scope("dead-letters/parks");
  await letters.park(parked("only", "1"), undefined);
  await state.each([
    { key: "l/only", value: undefined },
    { key: "w/key/1", value: undefined },
  ]);
  expect(await letters.lines("parks", ["key"])).toMatchObject([{ last: "1" }]);
  expect(await letters.occupied("parks", "key")).toBe(undefined);
  expect(await letters.lines("parks", ["key"])).toEqual([undefined]);
});
