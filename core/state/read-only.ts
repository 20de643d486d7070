import { SluiceError } from "../errors.ts";
import type { StateStore } from "./state.ts";

/** A store for those who may only look. Without one below it there is nothing in it. */
export function readOnly(store?: StateStore): StateStore {
  const refuse = async () => {
    throw new SluiceError("state: a check wanted to write.", {
      code: "check.writes",
      fix: "Mend the connector: its check changes nothing.",
    });
  };
  return {
    get: async (keys) => (store ? await store.get(keys) : keys.map(() => undefined)),
    each: refuse,
    all: refuse,
    async *scan(prefix, options) {
      if (store) yield* store.scan(prefix, options);
    },
  };
}
