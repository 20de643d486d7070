import { setTimeout as sleep } from "node:timers/promises";
import type { ListedObject } from "./bucket.ts";
import { openBudget, type Share } from "./budget.ts";
import type { Message } from "./notifications/messages.ts";
import { pace } from "./pace.ts";
import { patiently } from "./patience.ts";
import type { Reading } from "./read-object.ts";

/** A key that may hold something new, and why we think so. */
export interface Look {
  readonly key: string;
  /** Emitted whatever is known of it: a snapshot wants it, or a crash left it in doubt. */
  readonly isForced: boolean;
  /** Its state may be known and yet be unwanted now. */
  readonly isRecheck?: boolean;
  /** It failed, and nothing says that it changed: others come first. */
  readonly isAgain?: boolean;
  /** The pass that is under way waits for the answer. */
  readonly isOfPass: boolean;
  readonly listed?: ListedObject | undefined;
  /** The state that was emitted, as far as the listing knew. */
  readonly known?: string | undefined;
  /** Bytes to expect; what there is may be more. */
  readonly size?: number | undefined;
  /** When it was removed, if that is what we were told. RFC 3339. */
  readonly removedAt?: string | undefined;
  /** The notifications that wait for the answer. */
  readonly messages: readonly Message[];
}

export interface Looked {
  readonly look: Look;
  readonly reading: Reading;
  /** About what its event weighs. */
  readonly bytes: number;
}

/** How much memory a reading may hold from now on. To be asked before it holds that: see `Share`. */
export type Room = Share["resize"];

/**
 * Reads objects side by side, as many as memory allows, and holds what was read until it is taken. No key
 * is read twice at once, nor again before its last reading was `freed`: so versions drawn in the order
 * of `take` are in the order of the readings.
 */
export interface Desk {
  /** Asks for a look; one at the same key that has not begun yet becomes one with it. */
  readonly add: (look: Look, isUrgent: boolean) => void;
  /** Resolves when there is room for looks that are not urgent; rejects on abort. */
  readonly room: () => Promise<void>;
  /** From the front, as many as a batch may hold; none yet while more are about to come. */
  readonly take: () => readonly Looked[];
  /** Milliseconds until what is ready can be taken; Infinity when nothing is. */
  readonly readyInMs: () => number;
  readonly freed: (looks: readonly Look[]) => void;
}

const maxEvents = 1_000;
const maxBytes = 2 ** 20;
const bytesAtOnce = 64 * 2 ** 20;
const emptyEventBytes = 1_024;
/** A batch costs two writes that the disk must confirm, so it waits this long for others that are being read. */
const lingerMs = 50;
const fairEvery = 4;
/** Of the readings side by side, those of what failed before: each takes long, and they may be many. */
const againRatio = 0.25;
/** Tries at one object, each of them several of the SDK's; one alone where this many looks failed in a row. */
const maxTries = 3;
const manyFailed = 16;

export function openDesk(run: {
  readonly read: (look: Look, room: Room) => Promise<Reading>;
  /**
   * What becomes of a look that failed again and again; `isAlone` unless others were read meanwhile, `isLast` when no
   * other waits. Throws what is an outage.
   */
  readonly giveUp: (
    look: Look,
    cause: unknown,
    about: { readonly isAlone: boolean; readonly isLast: boolean },
  ) => Promise<Reading>;
  readonly readsAtOnce: number;
  /** An object that is larger is not read. */
  readonly maxBytes: number;
  readonly signal: AbortSignal;
  /** Something can be taken. */
  readonly wake: () => void;
  /** Nothing can be read any more. */
  readonly fail: (error: unknown) => void;
}): Desk {
  const { readsAtOnce, signal, wake, fail } = run;
  const urgent = new Map<string, Look>();
  const listed = new Map<string, Look>();
  const again = new Map<string, Look>();
  const lanes = [urgent, listed, again];
  const busy = new Set<string>();
  const ready: Looked[] = [];
  const waiting: (() => void)[] = [];
  let readyBytes = 0;
  let readySince = 0;
  let inFlight = 0;
  let againInFlight = 0;
  let failedInARow = 0;
  let succeededAt = 0;
  const speed = pace(readsAtOnce);

  const isFull = () => ready.length >= maxEvents || readyBytes >= maxBytes;
  const budget = openBudget({ maxBytes: bytesAtOnce, isHeld: isFull, signal });
  /** What nobody told, the object itself will say. */
  const expected = ({ size = 0 }: Look) => Math.max(0, Math.min(size, run.maxBytes));
  let turn = 0;
  const next = (): Look | undefined => {
    turn += 1;
    const mayBeAgain = againInFlight < Math.max(1, Math.floor(speed.atOnce() * againRatio));
    const failed = mayBeAgain ? [again] : [];
    // However many are urgent, the others come on.
    const inOrder =
      turn % fairEvery === 0 ? [...failed, listed, urgent] : [urgent, listed, ...failed];
    for (const lane of inOrder) for (const [key, look] of lane) if (!busy.has(key)) return look;
    return undefined;
  };

  const start = () => {
    while (inFlight < speed.atOnce() && !isFull() && !signal.aborted) {
      const look = next();
      if (look === undefined) break;
      const bytes = expected(look);
      if (bytes > 0 && !budget.fits(bytes)) break;
      const isAgain = again.has(look.key);
      for (const lane of lanes) lane.delete(look.key);
      busy.add(look.key);
      inFlight += 1;
      if (isAgain) againInFlight += 1;
      const share = budget.open();
      void share.resize(bytes);
      work(look, share)
        .catch(fail)
        .finally(() => {
          inFlight -= 1;
          if (isAgain) againInFlight -= 1;
          void share.resize(0);
          start();
          wake();
        });
    }
    if (hasRoom()) letIn();
  };
  const readyInMs = () => {
    if (ready.length === 0) return Infinity;
    const isAwaited = inFlight > 0 && !isFull();
    return isAwaited ? Math.max(0, readySince + lingerMs - performance.now()) : 0;
  };
  const hasRoom = () => listed.size < 2 * readsAtOnce;
  const letIn = () => {
    for (const resume of waiting.splice(0)) resume();
  };
  signal.addEventListener("abort", letIn, { once: true });

  const work = async (look: Look, { resize }: Share) => {
    const began = performance.now();
    const once = async () => {
      try {
        return await run.read(look, resize);
      } catch (error) {
        void resize(0); // it may be long until the next try
        throw error;
      }
    };
    for (let tries = 1; ; tries++)
      try {
        const reading = await patiently(once, { signal, throttled: speed.slower });
        // Only these are answers of the store, about an object that can be read.
        if (reading.kind === "content" || reading.kind === "same") {
          succeededAt = performance.now();
          failedInARow = 0;
        }
        speed.succeeded();
        return done(look, reading);
      } catch (cause) {
        if (signal.aborted) return;
        if (tries >= maxTries || failedInARow >= manyFailed) {
          failedInARow += 1;
          const isLast = lanes.every(({ size }) => size === 0);
          const about = { isAlone: succeededAt <= began, isLast };
          return done(look, await run.giveUp(look, cause, about));
        }
        await sleep(200 * 2 ** tries, undefined, { signal }).catch(() => {}); // aborted: the next try ends it
      }
  };

  const done = (look: Look, reading: Reading) => {
    const bytes = weigh(reading);
    if (ready.length === 0) readySince = performance.now();
    ready.push({ look, reading, bytes });
    readyBytes += bytes;
  };

  return {
    add: (look, isUrgent) => {
      const { key } = look;
      const asked = look.isAgain ? again : isUrgent ? urgent : listed;
      const held = lanes.find((lane) => lane.has(key)) ?? asked;
      const before = held.get(key);
      const lane = lanes.indexOf(held) < lanes.indexOf(asked) ? held : asked;
      if (held !== lane) held.delete(key);
      lane.set(key, before ? joined(before, look) : look);
      start();
    },
    room: async () => {
      while (!hasRoom()) {
        signal.throwIfAborted();
        await new Promise<void>((resolve) => void waiting.push(resolve));
      }
      signal.throwIfAborted();
    },
    readyInMs,
    take: () => {
      if (readyInMs() > 0) return [];
      let count = 0;
      let bytes = 0;
      for (const one of ready) {
        if (count === maxEvents || (count > 0 && bytes + one.bytes > maxBytes)) break;
        bytes += one.bytes;
        count += 1;
      }
      readyBytes -= bytes;
      const taken = ready.splice(0, count);
      readySince = performance.now();
      budget.look();
      start();
      return taken;
    },
    freed: (looks) => {
      for (const { key } of looks) busy.delete(key);
      start();
    },
  };
}

/** Two reasons to look at one key: it is read as it is now, not as it was listed. */
function joined(a: Look, b: Look): Look {
  return {
    key: b.key,
    isForced: a.isForced || b.isForced,
    isRecheck: (a.isRecheck ?? false) || (b.isRecheck ?? false),
    isOfPass: a.isOfPass || b.isOfPass,
    size: Math.max(a.size ?? 0, b.size ?? 0),
    removedAt: b.removedAt ?? a.removedAt,
    messages: [...a.messages, ...b.messages],
  };
}

function weigh(reading: Reading): number {
  if (reading.kind !== "content") return emptyEventBytes;
  const { content } = reading.object;
  const length = "text" in content ? content.text.length : content.contentBase64.length;
  return emptyEventBytes + length;
}
