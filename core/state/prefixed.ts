import type { Entry, StateStore, StateWrite } from "./state.ts";

/** A view of a store under a prefix, so that a connector's keys and the runner's never meet. */
export function prefixed(store: StateStore, prefix: string): StateStore {
  const inside = (write: StateWrite): StateWrite => ({ ...write, key: prefix + write.key });
  const outside = (entry: Entry): Entry => ({ ...entry, key: entry.key.slice(prefix.length) });
  return {
    get: async (keys) => {
      const entries = await store.get(keys.map((key) => prefix + key));
      return entries.map((entry) => entry && outside(entry));
    },
    each: (writes, fence) => store.each(writes.map(inside), fence),
    all: (writes, fence) => store.all(writes.map(inside), fence),
    async *scan(under, options = {}) {
      const { after } = options;
      const from = after === undefined ? options : { ...options, after: prefix + after };
      for await (const page of store.scan(prefix + under, from)) yield page.map(outside);
    },
  };
}
