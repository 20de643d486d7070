import type { Entry, Fence, StateStore, StateWrite } from "sluice";
import { parseVector, toBase64 } from "./float32.ts";

type Vectors = ReadonlyMap<string, Float32Array>;

/** Vectors on their way into the cache: written with something else where that is possible, to save a round trip. */
export interface Keeping {
  /** What is still to be written; from then on the caller writes it, and says so with `stored`. */
  readonly take: () => readonly StateWrite[];
  /** What became of them, in their order. */
  readonly stored: (done: readonly boolean[], fence?: Fence) => Promise<void>;
}

export interface Lookup {
  readonly found: Vectors;
  /** Remembers fresh vectors, and again what was found in the old generation. */
  readonly keep: (fresh: Vectors) => Keeping;
}

export interface VectorCache {
  /** One round trip. */
  readonly lookUp: (embedKeys: readonly string[]) => Promise<Lookup>;
  /** Forgets everything. Resolves to how many vectors it was. */
  readonly clear: (fence?: Fence) => Promise<number>;
}

/** Which generation is written to, and about how many bytes it holds. */
interface Counter {
  readonly young: number;
  readonly bytes: number;
  readonly revision: number;
}

const entryBytes = 64;
const counterKey = "vc";
// A third one stands empty, so that dropping the oldest never meets a fresh write.
const all = [0, 1, 2];
export const nothingToKeep: Keeping = { take: () => [], stored: async () => {} };

/**
 * Vectors by embedKey, in state, about `maxBytes` of them: key changes, moves and replays embed
 * nothing. Two generations stand in for an LRU: writes go to the young one; when that has grown to
 * half of the budget it becomes the old one, and the one that was old is dropped.
 */
export function vectorCache(options: {
  readonly state: StateStore;
  readonly dimensions: number;
  readonly maxBytes: number;
}): VectorCache {
  const { state, dimensions, maxBytes } = options;
  // Bytes written while another worker moved the counter: added with the next write.
  let uncounted = 0;
  /** As it was last read: which generations are worth asking. */
  let last: Counter | undefined;

  async function drop(generation: number, fence?: Fence): Promise<number> {
    let dropped = 0;
    for await (const page of state.scan(prefixOf(generation))) {
      const writes = page.map(({ key }) => ({ key, value: undefined }));
      await state.each(writes, fence);
      dropped += writes.length;
    }
    return dropped;
  }

  async function readCounter(): Promise<Counter> {
    const [head] = await state.get([counterKey]);
    return toCounter(head);
  }

  function keeping(vectors: Vectors, counter: Counter): Keeping {
    const { young, revision } = counter;
    const writes: StateWrite[] = [];
    let added = 0;
    for (const [embedKey, vector] of vectors) {
      const value = toBase64(vector);
      added += value.length + entryBytes;
      writes.push({ key: prefixOf(young) + embedKey, value });
    }
    const owed = uncounted;
    const bytes = counter.bytes + added + owed;
    const isFull = bytes > maxBytes / 2;
    const value = isFull ? { young: (young + 1) % all.length, bytes: 0 } : { young, bytes };
    writes.push({ key: counterKey, value, expect: revision });
    let isTaken = false;
    return {
      take: () => {
        if (isTaken) return [];
        isTaken = true;
        return writes;
      },
      async stored(done, fence) {
        if (done.at(-1) !== true) {
          uncounted += added;
          // Rarely: whoever always comes second must not be left out of the count for ever.
          if (uncounted > maxBytes / 16) await flush(new Map(), await readCounter(), fence);
          return;
        }
        uncounted -= owed;
        last = { ...value, revision: revision + 1 };
        if (isFull) await drop(before(young), fence);
      },
    };
  }

  async function flush(vectors: Vectors, counter: Counter, fence?: Fence): Promise<void> {
    const { take, stored } = keeping(vectors, counter);
    await stored(await state.each(take(), fence), fence);
  }

  /** One read of the generations that the last counter names; again, if it has moved on meanwhile. */
  async function read(embedKeys: readonly string[]) {
    for (;;) {
      const asked = last;
      const generations = asked ? [asked.young, before(asked.young)] : all;
      const [head, ...entries] = await state.get([
        counterKey,
        ...embedKeys.flatMap((key) => generations.map((generation) => prefixOf(generation) + key)),
      ]);
      const counter = toCounter(head);
      last = counter;
      if (asked !== undefined && asked.young !== counter.young) continue;
      const valueOf = (at: number, generation: number) =>
        entries[at * generations.length + generations.indexOf(generation)]?.value;
      return { counter, valueOf };
    }
  }

  return {
    async lookUp(embedKeys) {
      if (maxBytes === 0 || embedKeys.length === 0)
        return { found: new Map(), keep: () => nothingToKeep };
      const { counter, valueOf } = await read(embedKeys);
      const found = new Map<string, Float32Array>();
      const ageing = new Map<string, Float32Array>();
      for (const [at, embedKey] of embedKeys.entries()) {
        const isYoung = valueOf(at, counter.young) !== undefined;
        const value = valueOf(at, isYoung ? counter.young : before(counter.young));
        const vector = typeof value === "string" ? parseVector(value, dimensions) : undefined;
        if (vector === undefined) continue;
        found.set(embedKey, vector);
        if (!isYoung) ageing.set(embedKey, vector);
      }
      return {
        found,
        keep: (fresh) => {
          const vectors = new Map([...ageing, ...fresh]);
          return vectors.size > 0 ? keeping(vectors, counter) : nothingToKeep;
        },
      };
    },
    async clear(fence) {
      let dropped = 0;
      for (const generation of all) dropped += await drop(generation, fence);
      return dropped;
    },
  };
}

function toCounter(entry: Entry | undefined): Counter {
  // Only this file writes this key.
  const value = (entry?.value ?? { young: 0, bytes: 0 }) as { young: number; bytes: number };
  return { ...value, revision: entry?.revision ?? 0 };
}

function before(generation: number): number {
  return (generation + all.length - 1) % all.length;
}

function prefixOf(generation: number): string {
  return `vc/${generation}/`;
}
