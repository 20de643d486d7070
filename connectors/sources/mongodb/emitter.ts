import type { SluiceEvent, SourceBatch, StateWrite } from "sluice";
import { field, type Value } from "./bson.ts";
import { captureOf, patternOf } from "./capture.ts";
import type { Change } from "./change.ts";
import type { Bound, Checkpoint } from "./checkpoint.ts";
import type { ChunkNews } from "./copy.ts";
import type { Meaning, Meanings } from "./events.ts";
import { encodeKey } from "./key.ts";
import type { Memory } from "./memory.ts";
import { sinceOf, type Passes } from "./passes.ts";
import { hexOf, timeAt, toStored, type Position } from "./position.ts";
import type { Readings } from "./readings.ts";
import type { Answer } from "./track.ts";

type Batch = SourceBatch<Checkpoint>;

const maxEvents = 1_000;
const maxBytes = 2 ** 20;
/** Passes of our own; the others are requests, to be completed. */
export const own = "own/";

/** What has been emitted, and how. Each method yields batches that fit. */
export interface Emitter {
  readonly answer: (answer: Answer) => AsyncGenerator<Batch>;
  readonly chunk: (news: ChunkNews) => AsyncGenerator<Batch>;
  /** A collection of the running pass is read. */
  readonly closed: (name: string) => AsyncGenerator<Batch>;
  /** The running pass is; of these collections. */
  readonly passed: (names: ReadonlySet<string>) => AsyncGenerator<Batch>;
  /** Where it stands, if that is not stored yet, at most every `everyMs`. */
  readonly heartbeat: (everyMs: number) => AsyncGenerator<Batch>;
  /** All changes up to this cluster time are emitted. */
  readonly through: () => bigint;
  /** The newest change that is. */
  readonly reached: () => bigint;
}

export function emitter(place: {
  readonly meanings: Meanings;
  readonly memory: Memory;
  readonly bound: Bound;
  readonly passes: Passes;
  readonly readings: Readings;
  readonly position: Position | undefined;
  /** What only the first batch stores. */
  readonly writes: readonly StateWrite[];
}): Emitter {
  const { meanings, memory, bound, passes, readings } = place;
  let { position, writes } = place;
  let through = 0n;
  let reached = position ? timeAt(position) - 1n : 0n;
  let last = "";
  // The first position of all is stored before anything else, unless a copy begins: that has all until then.
  const isUrgent = position === undefined && passes.waiting() === undefined;
  let storedAt = isUrgent ? Number.NEGATIVE_INFINITY : performance.now();

  const checkpoint = (): Checkpoint => ({
    bound,
    position: toStored(position ?? { time: through }),
    passes: passes.stored(),
  });
  const batch = async (
    events: readonly SluiceEvent[],
    more: Pick<Batch, "writes" | "completes"> & { readonly names?: Iterable<string> } = {},
  ): Promise<Batch> => {
    const { names = [], completes } = more;
    await memory.announce(names);
    const all = [...writes, ...(more.writes ?? [])];
    writes = [];
    const next = checkpoint();
    last = JSON.stringify(next);
    storedAt = performance.now();
    return {
      events,
      checkpoint: next,
      ...(all.length > 0 && { writes: all }),
      ...(completes && { completes }),
    };
  };

  /** Cuts what `items` mean into batches. `take`: it is in the batch that is being made. */
  async function* cut<T>(
    items: readonly T[],
    meaningOf: (item: T) => Meaning,
    take: (item: T, meaning: Meaning) => void,
    beforeBatch: () => void,
  ): AsyncGenerator<Batch> {
    let events: SluiceEvent[] = [];
    let names = new Set<string>();
    let bytes = 0;
    for (const item of items) {
      const meaning = meaningOf(item);
      const isFull =
        events.length + meaning.events.length > maxEvents || bytes + meaning.bytes > maxBytes;
      if (events.length > 0 && isFull) {
        beforeBatch();
        yield await batch(events, { names });
        [events, names, bytes] = [[], new Set(), 0];
      }
      events.push(...meaning.events);
      bytes += meaning.bytes;
      if (meaning.collection !== undefined) names.add(meaning.collection);
      take(item, meaning);
    }
    beforeBatch();
    if (events.length > 0) yield await batch(events, { names });
  }

  const note = ({ collection, keys = [], cleared = [], appeared }: Meaning, time: bigint) => {
    if (time > reached) reached = time;
    for (const key of keys) readings.touch(collection ?? "", key);
    for (const name of cleared) readings.clear(name);
    if (appeared !== undefined)
      passes.add({ id: `${own}rename/${appeared}/${hexOf(time)}`, collections: [appeared] });
  };

  return {
    through: () => through,
    reached: () => reached,
    async *answer({ changes, ...answer }) {
      const last = changes.at(-1);
      const pass = () => {
        ({ position, through } = answer);
        if (through > reached) reached = through;
      };
      const take = (change: Change, meaning: Meaning) => {
        note(meaning, change.time);
        if (!change.fragment) position = { token: change.token };
        if (change === last) pass();
      };
      if (!last) pass();
      yield* cut(changes, meanings.ofChange, take, () => undefined);
    },
    async *chunk({ of, range, reading, chunk, settle }) {
      const running = passes.running();
      if (reading.isVoid() || !running) return settle(false);
      const read = { ...running, time: chunk.time };
      const documents = [...reading.documents()];
      let [taken, stored] = [0, 0];
      let last: Value | undefined;
      const advance = () => {
        const isAll = taken === documents.length;
        if (isAll) last = chunk.isLast ? undefined : chunk.last;
        passes.advanced(range, last && encodeKey(last), taken - stored);
        stored = taken;
        // The next chunk is read while the end of this one is published.
        if (isAll) settle(true);
      };
      yield* cut(
        documents,
        ([key, document]) => meanings.ofDocument(of.namespace, key, document, read),
        ([, document]) => {
          taken += 1;
          last = field(document, "_id");
        },
        advance,
      );
    },
    async *closed(name) {
      const running = passes.running();
      passes.closed(name);
      if (!running) return;
      const sweep = meanings.sweep(name, { ...running, since: sinceOf(running) });
      yield batch([sweep], { names: [name] });
    },
    async *passed(names) {
      const running = passes.running();
      if (!running) return;
      const { id, collections, audience } = running;
      const wanted = collections && captureOf({ collections, scope: "auto" });
      const gone = memory
        .collections()
        .filter((name) => !names.has(name) && (wanted?.includes(patternOf(name)) ?? true));
      const since = sinceOf(running);
      const events = gone.map((name) => meanings.sweep(name, { ...running, since }));
      // A newcomer is told too, but only all together forget.
      const forgotten = audience === undefined ? gone.map((name) => memory.forget(name)) : [];
      passes.finished();
      const completes = id.startsWith(own) ? undefined : [id];
      yield batch(events, { writes: forgotten, ...(completes && { completes }) });
    },
    async *heartbeat(everyMs) {
      const isDue = performance.now() - storedAt >= everyMs;
      if (isDue && JSON.stringify(checkpoint()) !== last) yield batch([]);
    },
  };
}
