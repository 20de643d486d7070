import type { StateStore, StateWrite } from "sluice";
import { byBytes } from "../byte-order.ts";
import { maxKeys, pack, unpack, type Known } from "./block.ts";

/**
 * What was emitted of each object, by key: it tells news from what the sinks have. It lies in the
 * source's state, in blocks of neighbouring keys; only where each block begins is in memory, so a
 * million objects take about 15 MB there and 1 MB here.
 *
 * A block is stored under the key it begins at, and ends where the next one begins.
 */
export interface Memory {
  /** What is known of these keys, to be changed. */
  readonly open: (keys: readonly string[]) => Promise<Excerpt>;
  /** All that is known behind `after`, in byte order. What changes meanwhile may show either state. */
  readonly behind: (after: string) => AsyncGenerator<Known, undefined>;
}

export interface Excerpt {
  readonly get: (key: string) => string | undefined;
  /** `undefined`: the object is gone. */
  readonly set: (key: string, fingerprint: string | undefined) => void;
  /** Stores what was set. They belong to the batch that carries the events, and to no earlier one. */
  readonly writes: () => readonly StateWrite[];
}

const prefix = "o/";
const blocksAtOnce = 16;

export async function openMemory(state: StateStore): Promise<Memory> {
  const starts: string[] = [];
  for await (const page of state.scan(prefix))
    starts.push(...page.map(({ key }) => key.slice(prefix.length)));
  // The first block begins before all keys, so that every key has a place.
  if (starts[0] !== "") starts.unshift("");

  const read = async (some: readonly string[]): Promise<readonly Known[][]> => {
    const entries = await state.get(some.map((start) => prefix + start));
    return entries.map((entry) => (entry ? unpack(entry.value) : []));
  };

  return {
    open: async (keys) => {
      const some = [...new Set(keys.map((key) => starts[placeOf(starts, key)] ?? ""))];
      const blocks = await read(some);
      const known = new Map(
        blocks.flat().map(({ key, fingerprint }): [string, string] => [key, fingerprint]),
      );
      const changed = new Map<string, string | undefined>();
      return {
        get: (key) => (changed.has(key) ? changed.get(key) : known.get(key)),
        set: (key, fingerprint) => void changed.set(key, fingerprint),
        writes: () => {
          const byStart = new Map(some.map((start, at) => [start, blocks[at] ?? []]));
          return rewritten(starts, byStart, changed);
        },
      };
    },
    async *behind(after) {
      let last = after;
      for (let from: string | undefined = after; from !== undefined;) {
        const first = placeOf(starts, from);
        const some = starts.slice(first, first + blocksAtOnce);
        from = starts[first + blocksAtOnce];
        for (const entries of await read(some))
          for (const entry of entries) {
            // Blocks may be split while they are read.
            if (byBytes(entry.key, last) <= 0) continue;
            last = entry.key;
            yield entry;
          }
      }
      return undefined;
    },
  };
}

/** Applies changes to blocks, and to the list of where blocks start. */
function rewritten(
  starts: string[],
  blocks: ReadonlyMap<string, readonly Known[]>,
  changes: ReadonlyMap<string, string | undefined>,
): readonly StateWrite[] {
  const changesOf = new Map<string, string[]>();
  for (const key of changes.keys()) {
    const start = starts[placeOf(starts, key)] ?? "";
    const keys = changesOf.get(start);
    if (keys) keys.push(key);
    else changesOf.set(start, [key]);
  }
  const writes: StateWrite[] = [];
  for (const [start, keys] of changesOf) {
    const entries = new Map((blocks.get(start) ?? []).map((entry) => [entry.key, entry]));
    const lastBefore = [...entries.keys()].at(-1) ?? "";
    for (const key of keys) {
      const fingerprint = changes.get(key);
      if (fingerprint === undefined) entries.delete(key);
      else entries.set(key, { key, fingerprint });
    }
    const sorted = [...entries.values()].toSorted((a, b) => byBytes(a.key, b.key));
    const isAppended = byBytes(sorted.at(-1)?.key ?? "", lastBefore) > 0;
    const [head = [], ...others] = cut(sorted, isAppended);
    const place = placeOf(starts, start);
    if (head.length === 0 && start !== "") starts.splice(place, 1);
    writes.push({ key: prefix + start, value: head.length > 0 ? pack(head) : undefined });
    const begins = others.map((block) => block[0]?.key ?? "");
    starts.splice(place + 1, 0, ...begins);
    for (const [at, block] of others.entries())
      writes.push({ key: prefix + (begins[at] ?? ""), value: pack(block) });
  }
  return writes;
}

/** Full pieces where keys come in order (the next ones go behind them), else even ones, with room in each. */
function cut(entries: readonly Known[], isAppended: boolean): readonly (readonly Known[])[] {
  const pieces = Math.ceil(entries.length / maxKeys);
  const size = isAppended ? maxKeys : Math.ceil(entries.length / pieces);
  return Array.from({ length: pieces }, (_, at) => entries.slice(at * size, (at + 1) * size));
}

/** The place of the last start that is not behind `key`. */
function placeOf(starts: readonly string[], key: string): number {
  let [low, high] = [0, starts.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (byBytes(starts[middle] ?? "", key) <= 0) low = middle;
    else high = middle - 1;
  }
  return low;
}
