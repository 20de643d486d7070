import type { Log, StateWrite } from "sluice";
import type { Orders } from "./orders.ts";
import { needKey } from "./runs.ts";

/** Tables that must be read again, until a run that does so begins. Kept in state. */
export interface Needs {
  /** Orders it, or waits until the table can be read. */
  readonly add: (table: string, why: string) => void;
  /** Orders those that can be read by now. */
  readonly look: () => void;
  /** A run of these begins: what forgets that they were needed. */
  readonly met: (tables: readonly string[]) => readonly StateWrite[];
  /** A run could not read the table: what remembers it. */
  readonly missed: (table: string) => StateWrite;
}

export function openNeeds(context: {
  /** Left over by an earlier run of the source. */
  readonly known: Iterable<string>;
  readonly orders: Orders;
  readonly isThere: (table: string) => boolean;
  readonly write: (write: StateWrite) => void;
  readonly log: Log;
}): Needs {
  const { orders, isThere, write, log } = context;
  const needed = new Set(context.known);
  /** Taken to be run, and perhaps not begun: another order of it would read it twice. */
  const ordered = new Set<string>();
  const order = (table: string) => {
    if (!isThere(table) || orders.has(table) || ordered.has(table)) return;
    ordered.add(table);
    orders.add({ reason: "changed", tables: [table] });
  };
  return {
    add: (table, why) => {
      if (!needed.has(table)) {
        needed.add(table);
        log.warn({ table, why }, "the table must be read again");
        write({ key: needKey(table), value: true });
      }
      order(table);
    },
    look: () => needed.forEach(order),
    met: (tables) =>
      tables.map((table) => {
        needed.delete(table);
        ordered.delete(table);
        return { key: needKey(table), value: undefined };
      }),
    missed: (table) => {
      needed.add(table);
      return { key: needKey(table), value: true };
    },
  };
}
