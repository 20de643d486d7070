import type { Json } from "../event.ts";
import type { Entry, StateStore } from "./state.ts";

/** State that lasts as long as whoever holds it: for reading a source without leaving a trace. */
export function scratchState(): StateStore {
  const held = new Map<string, { readonly value: Json; readonly revision: number }>();
  const read = (key: string): Entry | undefined => {
    const found = held.get(key);
    return found && { key, ...found };
  };
  const revisionOf = (key: string) => held.get(key)?.revision ?? 0;
  const each: StateStore["each"] = async (writes) =>
    writes.map(({ key, value, expect }) => {
      const revision = revisionOf(key);
      if (expect !== undefined && expect !== revision) return false;
      if (value === undefined) held.delete(key);
      else held.set(key, { value: structuredClone(value), revision: revision + 1 });
      return true;
    });
  return {
    get: async (keys) => keys.map(read),
    each,
    async all(writes, fence) {
      const fit = writes.every(
        ({ key, expect }) => (expect ?? revisionOf(key)) === revisionOf(key),
      );
      if (fit) await each(writes, fence);
      return fit;
    },
    async *scan(prefix, { after = "", pageSize = 500 } = {}) {
      const keys = [...held.keys()]
        .filter(
          (key) =>
            key.startsWith(prefix) && Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0,
        )
        .toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      for (let at = 0; at < keys.length; at += pageSize)
        yield keys.slice(at, at + pageSize).flatMap((key) => read(key) ?? []);
    },
  };
}
