import { EventEmitter, once } from "node:events";
import type { Log } from "../connector.ts";
import type { Json } from "../event.ts";
import type { StatePlace } from "../state/state.ts";
import { openPermit } from "./permit.ts";

/** `paused` keeps lease and connections, and takes no new work; `stopped` lets go of them. */
export type Wanted = "running" | "paused" | "stopped";

/** What people want of a connector, in every process that has it and after every restart. */
export interface Wish {
  readonly wanted: Wanted;
  /** Counts the restarts that were asked for. */
  readonly restarts: number;
}

export type Order = "pause" | "resume" | "stop" | "restart";

/** No connector can have this name; the keys are names of connectors. */
const scopeName = "@lifecycle";
const pollMs = 500;

const after: Readonly<Record<Order, (wish: Wish) => Wish>> = {
  pause: (wish) => ({ ...wish, wanted: "paused" }),
  stop: (wish) => ({ ...wish, wanted: "stopped" }),
  resume: (wish) => ({ ...wish, wanted: "running" }),
  restart: ({ restarts }) => ({ wanted: "running", restarts: restarts + 1 }),
};

/**
 * Changes what is wanted of a connector. Processes see it within 500 ms, whether they run or start later. Where that does
 * not come about within seconds it never does.
 */
export async function give(
  order: Order,
  name: string,
  { place, initial }: { readonly place: StatePlace; readonly initial: Wanted },
): Promise<Wish> {
  const { state } = place.scope(scopeName);
  const permit = await openPermit(state);
  for (;;) {
    const [entry] = await state.get([name]);
    const wish = after[order](toWish(entry?.value) ?? { wanted: initial, restarts: 0 });
    const write = { key: name, value: { ...wish }, expect: entry?.revision ?? 0 };
    if (await permit.write([write])) return wish;
  }
}

/** What is wanted of a connector; undefined where nobody said anything, and its config decides. */
export async function wishFor(name: string, place: StatePlace): Promise<Wish | undefined> {
  const [entry] = await place.scope(scopeName).state.get([name]);
  return toWish(entry?.value);
}

export async function forgetWish(name: string, place: StatePlace): Promise<void> {
  await place.scope(scopeName).state.each([{ key: name, value: undefined }]);
}

export interface Wishes {
  readonly of: (name: string) => Wish;
  /** Resolves once something else than `seen` is wanted, and on abort. */
  readonly changed: (name: string, seen: Wish, signal: AbortSignal) => Promise<void>;
}

/** Follows what is wanted of some connectors until the signal aborts. `initial`: where nobody said anything. */
export async function followWishes(
  initial: ReadonlyMap<string, Wanted>,
  run: { readonly place: StatePlace; readonly log: Log; readonly signal: AbortSignal },
): Promise<Wishes> {
  const { place, log, signal } = run;
  const { state } = place.scope(scopeName);
  const names = [...initial.keys()];
  const news = new EventEmitter().setMaxListeners(0);
  let wishes = new Map<string, Wish>();
  const of = (name: string): Wish =>
    wishes.get(name) ?? { wanted: initial.get(name) ?? "running", restarts: 0 };

  async function look(): Promise<void> {
    const entries = await state.get(names);
    const before = wishes;
    wishes = new Map();
    for (const [at, name] of names.entries()) {
      const wish = toWish(entries[at]?.value);
      if (wish) wishes.set(name, wish);
      if (!isSame(before.get(name), wish)) news.emit(name);
    }
  }

  await look();
  let isLooking = false;
  const timer = setInterval(() => {
    if (isLooking) return;
    isLooking = true;
    look()
      .catch((error: unknown) => log.debug({ error }, "what is wanted was not read"))
      .finally(() => (isLooking = false));
  }, pollMs).unref();
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });

  return {
    of,
    changed: async (name, seen, until) => {
      while (!until.aborted && isSame(of(name), seen))
        await once(news, name, { signal: until }).catch(() => undefined); // aborted
    },
  };
}

function isSame(a: Wish | undefined, b: Wish | undefined): boolean {
  return a?.wanted === b?.wanted && a?.restarts === b?.restarts;
}

function toWish(value: Json | undefined): Wish | undefined {
  return value as unknown as Wish | undefined; // written by `give` only
}
