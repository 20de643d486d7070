import { openLedger, type Ledger } from "./ledger.ts";
import type { Answer, Asked, LogMark, Told } from "./messages.ts";
import { changeAt } from "./origin.ts";

/** How the target behaves. `throttle` refuses for a while; `stall` does what it is asked and does not say so; `hold` does nothing. */
export type Mood = "well" | "throttle" | "stall" | "hold";

/** When which process began to read the origin (`performance.now()`). */
export interface Begin {
  readonly pid: number;
  readonly at: number;
  readonly after: number;
}

/** The origin and the target of a counted pipeline, as its processes ask them. */
export interface World {
  readonly ledger: Ledger;
  /** A process asks: `reply` may be called later, or never. */
  readonly hear: (pid: number, message: Asked | Told, reply: (answer: Answer) => void) => void;
  readonly mood: (mood: Mood) => void;
  /** How far the origin is. */
  readonly head: () => number;
  /** Nothing is changed any more; tells the number of the last change. */
  readonly end: () => number;
  readonly confirmed: () => number;
  /** Of the log, when that was confirmed. */
  readonly mark: () => LogMark | undefined;
  readonly begins: readonly Begin[];
  /** Who read last. */
  readonly reader: () => number | undefined;
  /** Reads behind which the origin had forgotten something, and writes that were begun under a token that was succeeded. */
  readonly faults: readonly string[];
  /** Redis lost what it did last: it may have given tokens that it knows nothing of. */
  readonly wentBack: () => void;
  readonly writes: () => number;
  /** Everything up to here was published, and its checkpoint stored. */
  readonly asked: () => number;
  readonly close: () => void;
}

const latencyMs = 2;

/** `perSecond` changes are made a second, all at once where it is `Infinity`; those that were confirmed are forgotten, if it `forgets`. */
export function openWorld(seed: number, perSecond: number, { forgets = true } = {}): World {
  const ledger = openLedger(seed);
  const began = performance.now();
  const begins: Begin[] = [];
  const faults: string[] = [];
  const tokens = new Map<string, number>();
  /** When the newest token of a lease was first seen. */
  const succeeded = new Map<string, number>();
  let lost = new Map<string, number>();
  const asking = new Set<() => boolean>();
  let ended: number | undefined;
  let confirmed = 0;
  let mark: LogMark | undefined;
  let mood: Mood = "well";
  let writes = 0;
  let highestAsked = 0;

  const head = () =>
    ended ??
    (perSecond === Infinity
      ? highestAsked + 1_000
      : Math.floor(((performance.now() - began) / 1_000) * perSecond));

  const look = setInterval(() => {
    for (const tell of asking) if (tell()) asking.delete(tell);
  }, 10);

  const written = (pid: number, message: Extract<Asked, { ask: "write" }>): Answer | undefined => {
    const { numbers, lease, token, at } = message;
    const newest = tokens.get(lease) ?? 0;
    if (token > newest) succeeded.set(lease, Date.now());
    const isOnItsWay = at <= (succeeded.get(lease) ?? 0); // nothing can call it back
    if (token < newest && newest > (lost.get(lease) ?? 0) && !isOnItsWay)
      faults.push(`${pid} wrote under token ${token} of ${lease}, after ${newest}`);
    tokens.set(lease, Math.max(token, newest));
    if (mood === "hold") return undefined;
    if (mood === "throttle") return { is: "throttled", retryAfterMs: 500 };
    writes += 1;
    const bad = numbers.flatMap((n, at) => (changeAt(seed, n).isPoison ? [at] : []));
    const [first] = bad;
    if (first !== undefined && (numbers[first] ?? 0) % 4 === 1) return { is: "refused" };
    for (const [at, n] of numbers.entries()) if (!bad.includes(at)) ledger.handle(n);
    if (mood === "stall") return undefined;
    return bad.length > 0 ? { is: "poison", at: bad } : { is: "ok" };
  };

  return {
    ledger,
    hear: (pid, message, reply) => {
      if ("tell" in message) {
        if (message.tell !== "confirm" || message.upTo < confirmed) return;
        ({ upTo: confirmed, mark } = message);
        return;
      }
      const { ask } = message;
      if (ask === "begin") {
        const { after } = message;
        begins.push({ pid, at: performance.now(), after });
        if (forgets && after < confirmed)
          faults.push(`${pid} began behind ${after}, and ${confirmed} was confirmed`);
        reply({ is: "ok" });
      } else if (ask === "more") {
        const { after } = message;
        highestAsked = Math.max(highestAsked, after);
        asking.add(() => {
          const upTo = head();
          if (upTo > after) reply({ is: "more", upTo });
          return upTo > after;
        });
      } else {
        const answer = written(pid, message);
        if (answer) setTimeout(() => reply(answer), latencyMs);
      }
    },
    mood: (now) => void (mood = now),
    head,
    end: () => (ended = head()),
    confirmed: () => confirmed,
    mark: () => mark,
    begins,
    reader: () => begins.at(-1)?.pid,
    faults,
    wentBack: () => void (lost = new Map(tokens)),
    writes: () => writes,
    asked: () => highestAsked,
    close: () => clearInterval(look),
  };
}
