import { inspect } from "node:util";
import type { Json } from "../event.ts";
import type { StateStore } from "../state/state.ts";

type Write = (this: unknown, ...args: unknown[]) => unknown;

/** Who listens. Several may at once: what one of them is not to hear nobody else writes. */
const listeners = new Set<string[]>();
let restore: (() => void) | undefined;

/** Listens to all that is written to the console and to the standard streams, past a connector's log, until `end`. */
export function overhear(): {
  readonly written: () => readonly string[];
  readonly end: () => void;
} {
  const heard: string[] = [];
  listeners.add(heard);
  restore ??= tap();
  return {
    written: () => heard,
    end: () => {
      listeners.delete(heard);
      if (listeners.size > 0) return;
      restore?.();
      restore = undefined;
    },
  };
}

/** Puts ears in front of the real ones; gives what takes them away again. */
function tap(): () => void {
  const undo: (() => void)[] = [];
  const listen = (owner: object, names: readonly string[]) => {
    for (const name of names) {
      const real = Reflect.get(owner, name) as Write; // by the names below
      const ear: Write = function (...args) {
        for (const heard of listeners) heard.push(...args.map(textOf));
        return Reflect.apply(real, this, args);
      };
      Reflect.set(owner, name, ear);
      undo.push(() => void Reflect.set(owner, name, real));
    }
  };
  listen(console, ["log", "info", "warn", "error", "debug", "trace", "dir", "table"]);
  listen(process.stdout, ["write"]);
  listen(process.stderr, ["write"]);
  return () => undo.forEach((one) => one());
}

function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  return value instanceof Uint8Array ? String(Buffer.from(value)) : inspect(value, { depth: 8 });
}

/** All that a state holds. */
export async function entriesOf(state: StateStore): Promise<readonly (string | Json)[]> {
  const found: (string | Json)[] = [];
  for await (const page of state.scan(""))
    for (const { key, value } of page) found.push(key, value);
  return found;
}
