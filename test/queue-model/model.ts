import { cleared, upserted, type SluiceEvent } from "../../core/event.ts";
import { partitionOf } from "../../core/queue/partition.ts";
import { version } from "../../core/version.ts";

export const partitions = 3;
export const names = ["a", "b", "c"] as const;
export type Name = (typeof names)[number];

/** A subscription's partition: what waits in it, in order, and the batch that was handled last. */
export interface Line {
  readonly waiting: string[];
  last: readonly string[];
}

/** What a topic must be like: for each subscription a line a partition. */
export interface Model {
  readonly lines: Map<Name, readonly Line[]>;
  /** Of the last change; each has a number of its own. */
  last: number;
  /** How many events came again. */
  again: number;
}

/** What is published at once. */
export type Item =
  | { readonly is: "change"; readonly key: string; readonly audience?: Name }
  | { readonly is: "clear" };

export function newModel(): Model {
  return { lines: new Map(), last: 0, again: 0 };
}

export function emptyLines(): readonly Line[] {
  return Array.from({ length: partitions }, () => ({ waiting: [], last: [] }));
}

/** Makes events of items and adds them to what waits. */
export function published(model: Model, items: readonly Item[]): readonly SluiceEvent[] {
  return items.map((item) => {
    const n = (model.last += 1);
    const event = eventOf(item, n);
    const places =
      item.is === "clear"
        ? Array.from({ length: partitions }, (_, at) => at)
        : [partitionOf(event, partitions)];
    for (const [name, lines] of model.lines) {
      if (item.is === "change" && (item.audience ?? name) !== name) continue;
      for (const place of places) lines[place]?.waiting.push(String(n));
    }
    return event;
  });
}

export function waitingOf(model: Model, name: Name): number {
  return (model.lines.get(name) ?? []).reduce((sum, { waiting }) => sum + waiting.length, 0);
}

/**
 * Takes a batch out of its line, and says what is wrong with it: it must be what waits first, in order. When a lease ran
 * out before the queue heard that a batch was handled, that batch comes again, said to be redelivered.
 */
export function taken(
  model: Model,
  line: Line,
  batch: readonly string[],
  redelivered: boolean,
): string | undefined {
  const { waiting, last } = line;
  if (last.length > 0 && batch[0] === last[0]) {
    if (!redelivered) return `${batch[0]} came again as if it were new`;
    model.again += last.length;
    waiting.unshift(...last);
  }
  for (const n of batch) {
    const next = waiting.shift();
    if (next !== n) return `${n} was handled, ${next} is next`;
  }
  line.last = batch;
  return undefined;
}

/** Number and partition of an event that was handed over. */
export function whatIs(event: SluiceEvent): { readonly n: string; readonly partition: number } {
  const n = String(event.sequence).slice(8, 24);
  const { scope } = event.data as { readonly scope?: { readonly partition: number } };
  return {
    n: String(Number.parseInt(n, 16)),
    partition: scope?.partition ?? partitionOf(event, partitions),
  };
}

function eventOf(item: Item, n: number): SluiceEvent {
  const at = version({ epoch: 1, position: BigInt(n), rank: 1, tail: 0 });
  const common = { source: "/model", time: "2026-01-01T00:00:00Z", meta: {} };
  if (item.is === "clear") return cleared({ ...common, below: at, reason: "sweep" });
  const { key, audience } = item;
  return upserted({
    ...common,
    key,
    subject: key,
    version: at,
    op: "update",
    after: { n },
    ...(audience && { audience }),
  });
}
