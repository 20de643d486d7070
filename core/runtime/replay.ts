import { setTimeout as sleep } from "node:timers/promises";
import type { Backend } from "../backend.ts";
import { SluiceError } from "../errors.ts";
import type { SluiceEvent } from "../event.ts";
import type { DeadLetter } from "../queue/queue.ts";
import { releaseOf } from "./parking.ts";

const atOnce = 100;

type Place = Pick<Backend, "topics" | "deadLetters">;
type Standing = DeadLetter & { readonly line: string };

interface Run {
  readonly signal: AbortSignal;
  /** How many have gone so far. */
  readonly replayed?: (letters: number) => void;
  /** How long to wait for lines of which nothing moves, milliseconds. Default 15,000. */
  readonly patienceMs?: number;
}

/** What became of letters by their ids. */
export interface Replay {
  readonly replayed: readonly string[];
  /** Refused again, or behind such a one in its line. */
  readonly again: readonly string[];
  /** In lines that are released: they go once their connector comes to them. */
  readonly waiting: readonly string[];
}

/**
 * Publishes dead letters again, to the connector that gave them up and to nobody else, oldest version,
 * or first given up on, first; each letter goes once its event is durable. What the connector has written since of a newer
 * version wins, as with any late event. One that fails again is a dead letter again. Lines are released instead, and
 * waited for: of them a letter goes once it was handled. Throws
 * `SluiceError` `dead-letters.no-subscription` where the connector no longer reads the topic.
 */
export async function replayLetters(
  connector: string,
  letters: readonly DeadLetter[],
  place: Place,
  run: Run,
): Promise<Replay> {
  const isRead = new Map<string, boolean>();
  for (const topic of new Set(letters.map((one) => one.topic))) {
    const own = (await place.topics.subscriptions(topic)).find(({ name }) => name === connector);
    if (!own && !letters.every((one) => one.topic !== topic || isOfSource(one)))
      throw notSubscribed(connector, topic);
    isRead.set(topic, (own?.consumers ?? 0) > 0);
  }
  const standing = letters.filter((one): one is Standing => one.line !== undefined);
  const loose = letters.filter(({ line }) => line === undefined);
  await publishAgain(connector, loose, place, run);
  if (standing.length === 0) return { replayed: loose.map(({ id }) => id), again: [], waiting: [] };
  await release(connector, standing, place, run);
  const isRunning = standing.some(({ topic }) => isRead.get(topic));
  return await outcomeOf(connector, { loose, standing }, place, {
    ...run,
    ...(!isRunning && { patienceMs: 0 }),
  });
}

async function publishAgain(
  connector: string,
  letters: readonly DeadLetter[],
  { topics, deadLetters }: Place,
  run: Run,
): Promise<void> {
  let done = 0;
  const inOrder = letters.toSorted((a, b) => compare(orderOf(a), orderOf(b)));
  for (const [topic, share] of byTopic(inOrder))
    for (let at = 0; at < share.length; at += atOnce) {
      const some = share.slice(at, at + atOnce);
      const events = some.map((letter) =>
        isOfSource(letter) ? letter.event : addressed(letter.event, connector),
      );
      await topics.publish(topic, events, run);
      await deadLetters.remove(
        connector,
        some.map(({ id }) => id),
      );
      run.replayed?.((done += some.length));
    }
}

/** A line that nobody hears of is met when the next event of its key comes. */
async function release(
  connector: string,
  letters: readonly Standing[],
  { topics, deadLetters }: Place,
  run: Run,
): Promise<void> {
  const heads = new Map(letters.map((letter) => [letter.line, letter]));
  for (const [topic, share] of byTopic([...heads.values()]))
    for (let at = 0; at < share.length; at += atOnce) {
      const some = share.slice(at, at + atOnce);
      await Promise.all(some.map(({ line }) => deadLetters.release(connector, line)));
      const events = some.map((letter) => releaseOf(connector, letter.line, letter));
      await topics.publish(topic, events, run);
    }
}

/** Waits until the lines are handled, or nothing of them moves any more. */
async function outcomeOf(
  connector: string,
  {
    loose,
    standing,
  }: { readonly loose: readonly DeadLetter[]; readonly standing: readonly Standing[] },
  { deadLetters }: Place,
  { signal, replayed, patienceMs = 15_000 }: Run,
): Promise<Replay> {
  let left = standing;
  for (let movedAt = performance.now(); ;) {
    const names = [...new Set(left.map(({ line }) => line))];
    const lines = await deadLetters.lines(connector, names);
    const released = new Set(names.filter((_, at) => lines[at]?.isReleased));
    const before = left.length;
    left = await kept(connector, left, deadLetters);
    if (left.length < before) {
      movedAt = performance.now();
      replayed?.(loose.length + standing.length - left.length);
    }
    if (released.size > 0 && performance.now() - movedAt < patienceMs) {
      await sleep(200, undefined, { signal });
      continue;
    }
    const ids = new Set(left.map(({ id }) => id));
    return {
      replayed: [...loose, ...standing].flatMap(({ id }) => (ids.has(id) ? [] : [id])),
      again: left.flatMap(({ id, line }) => (released.has(line) ? [] : [id])),
      waiting: left.flatMap(({ id, line }) => (released.has(line) ? [id] : [])),
    };
  }
}

async function kept(
  connector: string,
  letters: readonly Standing[],
  deadLetters: Place["deadLetters"],
): Promise<readonly Standing[]> {
  const ids = new Set<string>();
  for (let at = 0; at < letters.length; at += 1_000) {
    const some = letters.slice(at, at + 1_000).map(({ id }) => id);
    for (const { id } of await deadLetters.get(connector, some)) ids.add(id);
  }
  return letters.filter(({ id }) => ids.has(id));
}

function byTopic<T extends DeadLetter>(letters: readonly T[]): ReadonlyMap<string, readonly T[]> {
  const all = new Map<string, T[]>();
  for (const letter of letters) {
    const share = all.get(letter.topic);
    if (share) share.push(letter);
    else all.set(letter.topic, [letter]);
  }
  return all;
}

/** It was never published: everybody is to get it. */
function isOfSource({ stage }: DeadLetter): boolean {
  return stage === "publish";
}

/** One of a catch-up keeps its way: it begins with this connector, or it would not have got it. */
function addressed(event: SluiceEvent, connector: string): SluiceEvent {
  return typeof event.audience === "string" ? event : { ...event, audience: connector };
}

/** Versions of records; what has none, as it was given up on. */
function orderOf({ event, order, firstAt }: DeadLetter): string {
  return typeof event["sequence"] === "string" ? event["sequence"] : (order ?? firstAt);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function notSubscribed(connector: string, topic: string): SluiceError {
  return new SluiceError(`${connector}: it does not read topic "${topic}" any more.`, {
    code: "dead-letters.no-subscription",
    fix: "Start it with that topic in `from`, then replay; or drop its dead letters.",
  });
}
