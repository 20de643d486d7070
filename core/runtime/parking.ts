import { createHash } from "node:crypto";
import { PoisonError } from "../errors.ts";
import { isRecordChange, type SluiceEvent } from "../event.ts";
import type { DeadLetter } from "../queue/queue.ts";
import type { StateStore } from "../state/state.ts";

const prefix = "parked/";
const code = "runner.parked";

/** Keeps what follows a dead letter behind it, key by key: `onPoison: "park"`. */
export interface Parking {
  /** Those that follow one that is parked. One read. */
  readonly followers: (events: readonly SluiceEvent[]) => Promise<ReadonlySet<SluiceEvent>>;
  /** From now on what has the event's key follows it. To be called once its letter is durable. */
  readonly park: (event: SluiceEvent) => Promise<void>;
}

export function openParking(state: StateStore): Parking {
  return {
    followers: async (events) => {
      const marked = events.flatMap((event) => {
        const mark = markOf(event);
        return mark === undefined ? [] : [{ event, mark }];
      });
      const found = await state.get(marked.map(({ mark }) => mark));
      return new Set(marked.filter((_, at) => found[at]).map(({ event }) => event));
    },
    park: async (event) => {
      const mark = markOf(event);
      if (mark !== undefined) await state.each([{ key: mark, value: true }]);
    },
  };
}

/** Cuts events so that no two of one key are handled at once: the second may have to follow the first. */
export function apart(events: readonly SluiceEvent[]): readonly (readonly SluiceEvent[])[] {
  const groups: SluiceEvent[][] = [[]];
  let seen = new Set<string>();
  for (const event of events) {
    const mark = markOf(event);
    if (mark !== undefined && seen.has(mark)) {
      groups.push([]);
      seen = new Set();
    }
    if (mark !== undefined) seen.add(mark);
    groups.at(-1)?.push(event);
  }
  return groups;
}

/** Why an event that nobody refused is a dead letter. */
export function follows(event: SluiceEvent): PoisonError {
  return new PoisonError(
    `an earlier event of ${JSON.stringify(event.subject ?? event["partitionkey"])} was given up on, and this one waits behind it.`,
    {
      code,
      fix: "Settle the earlier one: with `sluice dead-letters replay` this one comes after it.",
    },
  );
}

/** The letters, and of their keys those that follow them. */
export function withFollowers(
  chosen: readonly DeadLetter[],
  all: readonly DeadLetter[],
): readonly DeadLetter[] {
  const marks = new Set(chosen.map(({ event }) => markOf(event)));
  const following = all.filter(
    (letter) =>
      letter.error.code === code && marks.has(markOf(letter.event)) && !chosen.includes(letter),
  );
  return [...chosen, ...following];
}

/** Lets the keys of settled letters go that none of the `rest` has. */
export async function release(
  state: StateStore,
  settled: readonly DeadLetter[],
  rest: readonly DeadLetter[],
): Promise<void> {
  const held = new Set(rest.map(({ event }) => markOf(event)));
  const marks = new Set(settled.map(({ event }) => markOf(event)));
  const free = [...marks].flatMap((mark) => (mark === undefined || held.has(mark) ? [] : [mark]));
  await state.each(free.map((key) => ({ key, value: undefined })));
}

/** Undefined where there is nothing to follow: a clear, or a message without a key. */
function markOf(event: SluiceEvent): string | undefined {
  if (event.type === "dev.sluice.collection.cleared") return undefined;
  const key = isRecordChange(event) ? `${event.source}\n${event.subject}` : event["partitionkey"];
  if (typeof key !== "string") return undefined;
  return prefix + createHash("sha256").update(key).digest("base64url").slice(0, 22);
}
