import type { Fence, StateStore, StateWrite } from "sluice";
import { parseVector, toBase64 } from "./float32.ts";

type Generation = "a" | "b";
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

const entryBytes = 64;

/**
 * Vectors by embedKey, in state, at most about `maxBytes`: key changes, moves and replays embed
 * nothing. Two generations stand in for an LRU: writes go to the young one; when it has grown to
 * half of the budget, the old one is dropped and becomes the next young one.
 */
export function vectorCache(options: {
  readonly state: StateStore;
  readonly dimensions: number;
  readonly maxBytes: number;
}): VectorCache {
  const { state, dimensions, maxBytes } = options;
  // Bytes written while another worker moved the counter: added with the next write.
  let uncounted = 0;

  async function drop(generation: Generation, fence: Fence): Promise<void> {
    for await (const page of state.scan(`vc/${generation}/`))
      await state.each(
        page.map(({ key }) => ({ key, value: undefined })),
        fence,
      );
  }

  async function write(
    vectors: Vectors,
    counter: { readonly young: Generation; readonly bytes: number; readonly revision: number },
    fence: Fence,
  ): Promise<void> {
    if (vectors.size === 0) return;
    const { young, revision } = counter;
    const writes: StateWrite[] = [];
    let added = 0;
    for (const [embedKey, vector] of vectors) {
      const value = toBase64(vector);
      added += value.length + entryBytes;
      writes.push({ key: `vc/${young}/${embedKey}`, value });
    }
    const owed = uncounted;
    const bytes = counter.bytes + added + owed;
    writes.push({ key: "vc", value: { young, bytes }, expect: revision });
    const done = await state.each(writes, fence);
    if (done.at(-1) !== true) {
      uncounted += added;
      return;
    }
    uncounted -= owed;
    if (bytes <= maxBytes / 2) return;
    const old = young === "a" ? "b" : "a";
    await drop(old, fence);
    await state.each([{ key: "vc", value: { young: old, bytes: 0 }, expect: revision + 1 }], fence);
  }

  return {
    async lookUp(embedKeys) {
      if (maxBytes === 0 || embedKeys.length === 0)
        return { found: new Map(), keep: async () => {} };
      const [head, ...entries] = await state.get([
        "vc",
        ...embedKeys.map((key) => `vc/a/${key}`),
        ...embedKeys.map((key) => `vc/b/${key}`),
      ]);
      // Only this file writes these keys.
      const counter = {
        ...((head?.value ?? { young: "a", bytes: 0 }) as { young: Generation; bytes: number }),
        revision: head?.revision ?? 0,
      };
      const found = new Map<string, Float32Array>();
      const ageing = new Map<string, Float32Array>();
      for (const [at, embedKey] of embedKeys.entries()) {
        const byGeneration = { a: entries[at], b: entries[at + embedKeys.length] };
        const entry = byGeneration[counter.young] ?? byGeneration.a ?? byGeneration.b;
        if (typeof entry?.value !== "string") continue;
        const vector = parseVector(entry.value, dimensions);
        if (vector === undefined) continue;
        found.set(embedKey, vector);
        if (byGeneration[counter.young] === undefined) ageing.set(embedKey, vector);
      }
      return {
        found,
        keep: (fresh, fence) => write(new Map([...ageing, ...fresh]), counter, fence),
      };
    },
  };
}
