import type { Entry, Fence, StateStore, StateWrite } from "sluice";
import { parseVector, toBase64 } from "./float32.ts";

type Vectors = ReadonlyMap<string, Float32Array>;

export interface Lookup {
  readonly found: Vectors;
  /** Remembers fresh vectors, and again what was found in the old generation. One round trip, rarely more. */
  readonly keep: (fresh: Vectors, fence: Fence) => Promise<void>;
}

export interface VectorCache {
  /** One round trip. */
  readonly lookUp: (embedKeys: readonly string[]) => Promise<Lookup>;
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

  async function drop(generation: number, fence: Fence): Promise<void> {
    for await (const page of state.scan(prefixOf(generation))) {
      const writes = page.map(({ key }) => ({ key, value: undefined }));
      await state.each(writes, fence);
    }
  }

  async function readCounter(): Promise<Counter> {
    const [head] = await state.get([counterKey]);
    return toCounter(head);
  }

  async function write(vectors: Vectors, counter: Counter, fence: Fence): Promise<void> {
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
    const done = await state.each(writes, fence);
    if (done.at(-1) !== true) {
      uncounted += added;
      // Rarely: whoever always comes second must not be left out of the count for ever.
      if (uncounted > maxBytes / 16) await write(new Map(), await readCounter(), fence);
      return;
    }
    uncounted -= owed;
    if (isFull) await drop(before(young), fence);
  }

  return {
    async lookUp(embedKeys) {
      if (maxBytes === 0 || embedKeys.length === 0)
        return { found: new Map(), keep: async () => {} };
      // All generations: which two count is only known with the answer, and asking twice costs more.
      const [head, ...entries] = await state.get([
        counterKey,
        ...embedKeys.flatMap((key) => all.map((generation) => prefixOf(generation) + key)),
      ]);
      const counter = toCounter(head);
      const found = new Map<string, Float32Array>();
      const ageing = new Map<string, Float32Array>();
      for (const [at, embedKey] of embedKeys.entries()) {
        const valueIn = (generation: number) => entries[at * all.length + generation]?.value;
        const isYoung = valueIn(counter.young) !== undefined;
        const value = valueIn(isYoung ? counter.young : before(counter.young));
        const vector = typeof value === "string" ? parseVector(value, dimensions) : undefined;
        if (vector === undefined) continue;
        found.set(embedKey, vector);
        if (!isYoung) ageing.set(embedKey, vector);
      }
      return {
        found,
        async keep(fresh, fence) {
          const vectors = new Map([...ageing, ...fresh]);
          if (vectors.size > 0) await write(vectors, counter, fence);
        },
      };
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
