import type { SluiceEvent, StateWrite } from "sluice";
import { upsertOf, type RowChange } from "./events.ts";
import type { Group } from "./markers.ts";
import type { Session } from "../session.ts";
import { completed } from "./toast.ts";

type Upsert = RowChange & { readonly op: "create" | "update" };

/** What is gathered for the next yield. */
export interface Gathered {
  readonly add: (event: SluiceEvent, bytes: number) => void;
  /** A row with unchanged values that were not sent: read again before it is handed over. */
  readonly addIncomplete: (change: Upsert, xid: number, bytes: number) => void;
  readonly addGroup: (group: Group) => void;
  readonly write: (write: StateWrite) => void;
  readonly fits: (group: Group) => boolean;
  readonly isFull: () => boolean;
  readonly isEmpty: () => boolean;
  /**
   * Hands everything over and begins anew: in several parts where long values had to be read again.
   * Only behind the last one all of it is handed over.
   */
  readonly take: (session: Session, signal: AbortSignal) => AsyncGenerator<Part>;
}

/** Some of what was gathered, in order. */
export interface Part {
  readonly isLast: boolean;
  readonly events: readonly SluiceEvent[];
  readonly writes: readonly StateWrite[];
  readonly completes: readonly string[];
}

const maxEvents = 1_000;
const firstPace = 8;
const maxPace = 64;
const maxBytes = 2 ** 20;

export function gather(): Gathered {
  let events: SluiceEvent[] = [];
  let bytes = 0;
  let gaps: { readonly at: number; readonly change: Upsert; readonly xid: number }[] = [];
  let writes = new Map<string, StateWrite>();
  let completes: string[] = [];
  let pace = firstPace;

  const add = (event: SluiceEvent, size: number) => {
    events.push(event);
    bytes += size;
  };
  const write = (one: StateWrite) => void writes.set(one.key, one);
  return {
    add,
    write,
    addIncomplete: (change, xid, size) => {
      gaps.push({ at: events.length, change, xid });
      add(upsertOf(change), size);
    },
    addGroup: (group) => {
      for (const event of group.events ?? []) events.push(event);
      bytes += group.bytes ?? 0;
      group.writes?.forEach(write);
      completes.push(...(group.completes ?? []));
    },
    fits: (group) =>
      events.length + (group.events?.length ?? 0) <= maxEvents &&
      bytes + (group.bytes ?? 0) <= maxBytes,
    isFull: () => events.length >= maxEvents || bytes >= maxBytes,
    isEmpty: () => events.length === 0 && writes.size === 0 && completes.length === 0,
    async *take(session, signal) {
      const rest = { writes: [...writes.values()], completes };
      const [all, open] = [events, gaps];
      [events, bytes, gaps, writes, completes] = [[], 0, [], new Map<string, StateWrite>(), []];
      let from = 0;
      for (let at = 0; at < open.length;) {
        const some = open.slice(at, at + pace);
        at += some.length;
        const asked = some.map(({ change: { relation, row }, xid }) => ({ relation, row, xid }));
        const rows = await completed(asked, session, signal);
        let size = 0;
        for (const [n, { at: place, change }] of some.entries()) {
          const row = rows[n] ?? change.row;
          all[place] = upsertOf({ ...change, row });
          for (const value of row) size += value?.length ?? 0;
        }
        pace = nextPace(pace, size);
        const next = open[at]?.at;
        if (next === undefined) break;
        yield { isLast: false, events: all.slice(from, next), writes: [], completes: [] };
        // What was handed over must not be held until the last one is.
        all.fill(handedOver, from, next);
        from = next;
      }
      yield { isLast: true, events: from === 0 ? all : all.slice(from), ...rest };
    },
  };
}

/** How many rows are read again at once: long values are why they were not sent, and nobody knows how long. */
function nextPace(pace: number, bytes: number): number {
  if (bytes > maxBytes) return Math.max(1, pace >> 1);
  return bytes < maxBytes / 4 ? Math.min(maxPace, pace * 2) : pace;
}

/** In the place of an event that is gone. */
const handedOver = undefined as unknown as SluiceEvent;
