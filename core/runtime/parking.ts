import { createHash } from "node:crypto";
import { PoisonError } from "../errors.ts";
import { isRecordChange, type SluiceEvent } from "../event.ts";
import type { DeadLetter, DeadLetters } from "../queue/queue.ts";
import { letterId, type Bury, type Place } from "./bury.ts";
import type { Delivery } from "./deliver.ts";

const releasedType = "dev.sluice.letters.released";

/** Brings events of different keys to the other side, as `deliver` does. */
type Deliver = (events: readonly SluiceEvent[], bury: Delivery["bury"]) => Promise<void>;

/**
 * Keeps what follows a dead letter of its key behind it (`onPoison: "park"`): such letters stand in a line, the first
 * one at its head. A line that is released is handled by whoever has the partition, head first, before
 * anything else of its key; what is refused again holds the rest of it back again. So a key's order is the same as
 * if nothing had been parked (Invariant 2).
 */
export interface Parking {
  /** Handles the lines of these that are released; the events that nothing of their key holds back. The others become letters behind it. */
  readonly admit: (
    events: readonly SluiceEvent[],
    deliver: Deliver,
  ) => Promise<readonly SluiceEvent[]>;
  /** Handles the lines that these say are released. */
  readonly obey: (releases: readonly SluiceEvent[], deliver: Deliver) => Promise<void>;
  /** Those whose key has no line. */
  readonly unheld: (events: readonly SluiceEvent[]) => Promise<readonly SluiceEvent[]>;
  /** Where an event that was just admitted stands when it is given up on. Undefined: its key has no order. */
  readonly placeOf: (event: SluiceEvent) => Place | undefined;
}

export function openParking(
  { connector, topic }: { readonly connector: string; readonly topic: string },
  { deadLetters, bury }: { readonly deadLetters: DeadLetters; readonly bury: Bury },
): Parking {
  const lineOf = (event: SluiceEvent) => nameOf(topic, event);

  /** Of these lines those in which somebody stands now; what is released has gone before, as far as it can. */
  const held = async (names: readonly string[], deliver: Deliver) => {
    const lines = await deadLetters.lines(connector, names);
    const found = names.filter((_, at) => lines[at]);
    await handleLines(
      names.filter((_, at) => lines[at]?.isReleased),
      deliver,
    );
    const left = await Promise.all(
      found.map(async (name) => [name, await deadLetters.occupied(connector, name)] as const),
    );
    return new Map(left.flatMap(([name, line]) => (line ? [[name, line] as const] : [])));
  };

  /** The heads of all lines together, then those behind them. */
  const handleLines = async (names: readonly string[], deliver: Deliver) => {
    let open = names.map((line) => ({ line, letters: oneByOne(line) }));
    while (open.length > 0) {
      const heads = new Map<SluiceEvent, { own: DeadLetter; one: (typeof open)[number] }>();
      for (const one of open) {
        const { value: own } = await one.letters.next();
        if (own) heads.set(own.event, { own, one });
      }
      const refused = new Set<SluiceEvent>();
      await deliver([...heads.keys()], async (event, failure, attempts) => {
        const { own, one } = heads.get(event) ?? {};
        if (!own || !one) throw new Error("an event came back that was not given");
        const [before] = await deadLetters.lines(connector, [one.line]);
        await bury({ topic, event, ...failure, attempts }, { line: one.line, before, own });
        refused.add(event);
      });
      const passed = [...heads].filter(([event]) => !refused.has(event));
      await deadLetters.remove(
        connector,
        passed.map(([, { own }]) => own.id),
      );
      open = passed.map(([, { one }]) => one);
    }
  };

  const oneByOne = async function* (line: string) {
    for await (const page of deadLetters.standing(connector, line)) yield* page;
  };

  return {
    admit: async (events, deliver) => {
      const names = new Set(events.flatMap((event) => lineOf(event) ?? []));
      const left = await held([...names], deliver);
      if (left.size === 0) return events;
      const behind = events.flatMap((event) => {
        const line = lineOf(event) ?? "";
        const before = left.get(line);
        return before ? [{ event, line, before }] : [];
      });
      // One that came again is where it was.
      const known = await deadLetters.get(
        connector,
        behind.map(({ event }) => letterId(topic, event)),
      );
      const ids = new Set(known.flatMap((one) => (one.line === undefined ? [] : one.id)));
      for (const { event, ...place } of behind)
        if (!ids.has(letterId(topic, event)))
          await bury({ topic, event, stage: "parked", error: follows(event), attempts: 0 }, place);
      const away = new Set(behind.map(({ event }) => event));
      return events.filter((event) => !away.has(event));
    },
    obey: async (releases, deliver) => {
      const names = new Set(releases.flatMap(({ data }) => lineIn(data) ?? []));
      if (names.size > 0) await held([...names], deliver);
    },
    unheld: async (events) => {
      const names = events.map(lineOf);
      const known = [...new Set(names.flatMap((name) => name ?? []))];
      const lines = await deadLetters.lines(connector, known);
      const full = new Set(known.filter((_, at) => lines[at]));
      return events.filter((_, at) => !full.has(names[at] ?? ""));
    },
    placeOf: (event) => {
      const line = lineOf(event);
      return line === undefined ? undefined : { line, before: undefined };
    },
  };
}

/** Cuts events so that no two of one key are handled at once: the second may have to follow the first. */
export function apart(events: readonly SluiceEvent[]): readonly (readonly SluiceEvent[])[] {
  const groups: SluiceEvent[][] = [[]];
  let seen = new Set<string>();
  for (const event of events) {
    const key = keyOf(event);
    if (key !== undefined && seen.has(key)) {
      groups.push([]);
      seen = new Set();
    }
    if (key !== undefined) seen.add(key);
    groups.at(-1)?.push(event);
  }
  return groups;
}

/** Tells the connector of a letter that its line is released, where whoever has the key hears it. */
export function releaseOf(connector: string, line: string, { event }: DeadLetter): SluiceEvent {
  const { source, partitionkey } = event;
  return {
    specversion: "1.0",
    id: `${line}@${Date.now()}`,
    source,
    type: releasedType,
    time: new Date().toISOString(),
    ...(typeof partitionkey === "string" && { partitionkey }),
    audience: connector,
    data: { line },
  };
}

export function isRelease(event: SluiceEvent): boolean {
  return event.type === releasedType;
}

/** The letters, and what stands in line with them. */
export function withLine(
  chosen: readonly DeadLetter[],
  all: readonly DeadLetter[],
): readonly DeadLetter[] {
  const lines = new Set(chosen.flatMap(({ line }) => line ?? []));
  const ids = new Set(chosen.map(({ id }) => id));
  return [...chosen, ...all.filter(({ id, line = "" }) => lines.has(line) && !ids.has(id))];
}

/** Why an event that nobody refused is a dead letter. */
function follows(event: SluiceEvent): PoisonError {
  return new PoisonError(
    `an earlier event of ${JSON.stringify(event.subject ?? event["partitionkey"])} was given up on, and this one waits behind it.`,
    {
      code: "runner.parked",
      fix: "Settle the earlier one: with `sluice dead-letters replay` this one comes after it.",
    },
  );
}

function lineIn(data: unknown): string | undefined {
  const { line } = (data ?? {}) as { readonly line?: unknown };
  return typeof line === "string" ? line : undefined;
}

function nameOf(topic: string, event: SluiceEvent): string | undefined {
  const key = keyOf(event);
  if (key === undefined) return undefined;
  return createHash("sha256").update(`${topic}\n${key}`).digest("base64url").slice(0, 22);
}

/** Undefined where there is nothing to follow: a clear, or a message without a key. */
function keyOf(event: SluiceEvent): string | undefined {
  if (event.type === "dev.sluice.collection.cleared") return undefined;
  const key = isRecordChange(event) ? `${event.source}\n${event.subject}` : event["partitionkey"];
  return typeof key === "string" ? key : undefined;
}
