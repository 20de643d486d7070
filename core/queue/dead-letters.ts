import type { Json } from "../event.ts";
import type { Scope } from "../state/state.ts";
import type { DeadLetter, DeadLetters } from "./queue.ts";

const prefix = "l/";
/** Of a correlation: the id of the letter that was kept last. */
const ofCorrelation = "c/";

/** Keeps dead letters in state, one scope a connector: the same for every backend. */
export function openDeadLetters(scope: (name: string) => Scope): DeadLetters {
  const of = (connector: string) => scope(scopeOf(connector)).state;
  const lettersOf = async (connector: string, ids: readonly string[]) => {
    const entries = await of(connector).get(ids.map((id) => prefix + id));
    return entries.map((entry) => entry?.value as DeadLetter | undefined); // written by `add` only
  };
  return {
    add: async (letter) => {
      const { id, connector } = letter;
      const value = letter as unknown as Json; // events travel as JSON, so they are JSON
      const pointers = correlationsOf([letter]).map((key) => ({ key, value: id }));
      await of(connector).each([{ key: prefix + id, value }, ...pointers]);
    },
    async *list(connector, { after, ...options } = {}) {
      const from = after === undefined ? options : { ...options, after: prefix + after };
      for await (const page of of(connector).scan(prefix, from))
        yield page.map(({ value }) => value as unknown as DeadLetter);
    },
    count: (connector) => scope(scopeOf(connector)).count(prefix),
    correlated: async (connector, correlationids) => {
      const pointers = await of(connector).get(correlationids.map((id) => ofCorrelation + id));
      const ids = pointers.flatMap((one) => (one ? [one.value as string] : [])); // written by `add` only
      const letters = ids.length === 0 ? [] : await lettersOf(connector, ids);
      return letters.filter((one) => one !== undefined);
    },
    remove: async (connector, ids) => {
      const state = of(connector);
      const keys = correlationsOf(await lettersOf(connector, ids));
      const pointers = keys.length === 0 ? [] : await state.get(keys);
      const own = pointers.flatMap((one) =>
        one && ids.includes(one.value as string) ? [one] : [],
      );
      await state.each([
        ...ids.map((id) => ({ key: prefix + id, value: undefined })),
        // Unless it names another letter by now.
        ...own.map(({ key, revision }) => ({ key, value: undefined, expect: revision })),
      ]);
    },
  };
}

function scopeOf(connector: string): string {
  return `dead-letters/${connector}`;
}

function correlationsOf(letters: readonly (DeadLetter | undefined)[]): readonly string[] {
  const all = letters.flatMap((one) => one?.event["correlationid"] ?? []);
  return all.flatMap((one) => (typeof one === "string" ? [ofCorrelation + one] : []));
}
