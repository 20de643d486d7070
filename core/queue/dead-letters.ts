import type { Json } from "../event.ts";
import type { Scope, StateWrite } from "../state/state.ts";
import { openLines } from "./lines.ts";
import type { DeadLetter, DeadLetters } from "./queue.ts";

const prefix = "l/";
/** Of a correlation: the id of the letter that was kept last. */
const ofCorrelation = "c/";

/** Keeps dead letters in state, one scope a connector: the same for every backend. */
export function openDeadLetters(scope: (name: string) => Scope): DeadLetters {
  const of = (connector: string) => scope(scopeOf(connector)).state;
  const linesOf = (connector: string) => openLines(of(connector));
  const lettersOf = async (connector: string, ids: readonly string[]) => {
    const entries = await of(connector).get(ids.map((id) => prefix + id));
    const letters = entries.map((entry) => entry?.value as DeadLetter | undefined); // written by `keeping` only
    return letters.filter((one) => one !== undefined);
  };
  return {
    add: async (letter) => void (await of(letter.connector).each(keeping(letter))),
    park: (letter, before) => {
      const { connector } = letter;
      const placing = linesOf(connector).placing(letter, before);
      return of(connector).all([...keeping(letter), ...placing]);
    },
    get: lettersOf,
    lines: (connector, names) => linesOf(connector).read(names),
    async *standing(connector, line) {
      for await (const ids of linesOf(connector).standing(line)) {
        const letters = new Map((await lettersOf(connector, ids)).map((one) => [one.id, one]));
        yield ids.flatMap((id) => letters.get(id) ?? []);
      }
    },
    release: (connector, line) => linesOf(connector).release(line),
    occupied: (connector, line) => linesOf(connector).occupied(line),
    async *list(connector, { after, ...options } = {}) {
      const from = after === undefined ? options : { ...options, after: prefix + after };
      for await (const page of of(connector).scan(prefix, from))
        yield page.map(({ value }) => value as unknown as DeadLetter);
    },
    count: (connector) => scope(scopeOf(connector)).count(prefix),
    correlated: async (connector, correlationids) => {
      const pointers = await of(connector).get(correlationids.map((id) => ofCorrelation + id));
      const ids = pointers.flatMap((one) => (one ? [one.value as string] : [])); // written by `add` only
      return ids.length === 0 ? [] : await lettersOf(connector, ids);
    },
    remove: async (connector, ids) => {
      const state = of(connector);
      const letters = await lettersOf(connector, ids);
      const lines = linesOf(connector);
      const keys = correlationsOf(letters);
      const pointers = keys.length === 0 ? [] : await state.get(keys);
      const own = pointers.flatMap((one) =>
        one && ids.includes(one.value as string) ? [one] : [],
      );
      await state.each([
        ...lines.leaving(letters),
        ...ids.map((id) => ({ key: prefix + id, value: undefined })),
        // Unless it names another letter by now.
        ...own.map(({ key, revision }) => ({ key, value: undefined, expect: revision })),
      ]);
      for (const line of new Set(letters.map((one) => one.line)))
        if (line !== undefined) await lines.occupied(line);
    },
  };
}

function scopeOf(connector: string): string {
  return `dead-letters/${connector}`;
}

function keeping(letter: DeadLetter): readonly StateWrite[] {
  const { id } = letter;
  const value = letter as unknown as Json; // events travel as JSON, so they are JSON
  const pointers = correlationsOf([letter]).map((key) => ({ key, value: id }));
  return [{ key: prefix + id, value }, ...pointers];
}

function correlationsOf(letters: readonly DeadLetter[]): readonly string[] {
  const all = letters.flatMap((one) => one.event["correlationid"] ?? []);
  return all.flatMap((one) => (typeof one === "string" ? [ofCorrelation + one] : []));
}
