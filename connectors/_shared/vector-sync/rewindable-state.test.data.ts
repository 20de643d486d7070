import type { Entry, Json, StateStore } from "sluice";

/** A state store that can be taken back to an earlier moment, as a Redis that restarts from an older file. */
export function rewindableState(): { readonly state: StateStore; readonly mark: () => () => void } {
  let held = new Map<string, { readonly json: string; readonly revision: number }>();

  const read = (key: string): Entry | undefined => {
    const found = held.get(key);
    return found && { key, value: JSON.parse(found.json) as Json, revision: found.revision };
  };
  const state: StateStore = {
    get: async (keys) => keys.map(read),
    each: async (writes) =>
      writes.map(({ key, value, expect }) => {
        const revision = held.get(key)?.revision ?? 0;
        if (expect !== undefined && expect !== revision) return false;
        if (value === undefined) held.delete(key);
        else held.set(key, { json: JSON.stringify(value), revision: revision + 1 });
        return true;
      }),
    all: async () => {
      throw new Error("not used by vector sync");
    },
    async *scan(prefix) {
      const keys = [...held.keys()].filter((key) => key.startsWith(prefix)).toSorted();
      yield keys.flatMap((key) => read(key) ?? []);
    },
  };
  return {
    state,
    /** Call what it answers to go back to now. */
    mark: () => {
      const then = new Map(held);
      return () => void (held = new Map(then));
    },
  };
}
