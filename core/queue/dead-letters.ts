import type { Json } from "../event.ts";
import type { Scope } from "../state/state.ts";
import type { DeadLetter, DeadLetters } from "./queue.ts";

const prefix = "l/";

/** Keeps dead letters in state, one scope a connector: the same for every backend. */
export function openDeadLetters(scope: (name: string) => Scope): DeadLetters {
  const of = (connector: string) => scope(`dead-letters/${connector}`).state;
  return {
    add: async (letter) => {
      const value = letter as unknown as Json; // events travel as JSON, so they are JSON
      await of(letter.connector).each([{ key: prefix + letter.id, value }]);
    },
    async *list(connector, { after, ...options } = {}) {
      const from = after === undefined ? options : { ...options, after: prefix + after };
      for await (const page of of(connector).scan(prefix, from))
        yield page.map(({ value }) => value as unknown as DeadLetter);
    },
    count: async (connector) => {
      let count = 0;
      for await (const page of of(connector).scan(prefix)) count += page.length;
      return count;
    },
    remove: async (connector, ids) => {
      await of(connector).each(ids.map((id) => ({ key: prefix + id, value: undefined })));
    },
  };
}
