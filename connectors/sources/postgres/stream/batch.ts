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
  /** Hands everything over and begins anew. */
  readonly take: (
    session: Session,
    signal: AbortSignal,
  ) => Promise<{
    readonly events: readonly SluiceEvent[];
    readonly writes: readonly StateWrite[];
    readonly completes: readonly string[];
  }>;
}

const maxEvents = 1_000;
const maxBytes = 2 ** 20;

export function gather(): Gathered {
  let events: SluiceEvent[] = [];
  let bytes = 0;
  let gaps: { readonly at: number; readonly change: Upsert; readonly xid: number }[] = [];
  let writes = new Map<string, StateWrite>();
  let completes: string[] = [];

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
    take: async (session, signal) => {
      const taken = { events, writes: [...writes.values()], completes };
      const open = gaps;
      [events, bytes, gaps, writes, completes] = [[], 0, [], new Map<string, StateWrite>(), []];
      if (open.length === 0) return taken;
      const asked = open.map(({ change, xid }) => ({
        relation: change.relation,
        row: change.row,
        xid,
      }));
      const rows = await completed(asked, session, signal);
      for (const [n, { at, change }] of open.entries())
        taken.events[at] = upsertOf({ ...change, row: rows[n] ?? change.row });
      return taken;
    },
  };
}
