import type { Session } from "../session.ts";

/**
 * What a PostgreSQL snapshot sees. Transaction ids on the replication stream have 32 bits, those of
 * `pg_current_snapshot()` 64: the stream's are completed from the snapshot they are compared with.
 */
export interface Visibility {
  /** Whether the changes of a transaction that the stream delivered, so a committed one, are seen. */
  readonly sees: (xid: number) => boolean;
}

const epochSize = 2 ** 32;

/**
 * Transactions that an earlier run may have been told of, and that nobody sees yet: where a synchronous
 * standby has to answer first, any that still runs. Copies wait for them.
 */
export async function waitingForStandby(
  session: Pick<Session, "query">,
): Promise<readonly number[]> {
  const running = await session.query(
    `SELECT xid FROM pg_snapshot_xip(pg_current_snapshot()) AS running(xid)
     WHERE current_setting('synchronous_standby_names') <> ''`,
  );
  return running.map(([xid]) => Number(xid) % epochSize);
}

/** Reads `xmin:xmax:xip,xip,…`, the text of `pg_current_snapshot()`. */
export function parseVisibility(text: string): Visibility {
  const [low = "", high = "", list = ""] = text.split(":");
  const xmin = Number(low);
  const xmax = Number(high);
  const running = new Set(list === "" ? [] : list.split(",").map(Number));
  // The nearest full id to xmax with these low bits: ids in use span less than half the circle.
  const full = (xid: number) => {
    const guess = xmax - (xmax % epochSize) + xid;
    if (guess > xmax + epochSize / 2) return guess - epochSize;
    return guess < xmax - epochSize / 2 ? guess + epochSize : guess;
  };
  return {
    sees: (xid) => {
      const id = full(xid);
      return id < xmin || (id < xmax && !running.has(id));
    },
  };
}

/** The transactions that the stream delivered and that may not be visible to other connections yet. */
export interface Delivered {
  readonly add: (xid: number) => void;
  /** A point to ask from: what was delivered until now. */
  readonly mark: () => number;
  /**
   * Whether a snapshot misses a transaction delivered before `mark`. A commit is decoded a little
   * before it becomes visible, and long before it where a synchronous standby has to answer first.
   * Forgets what the snapshot sees.
   */
  readonly isMissing: (from: Visibility, mark: number) => boolean;
  /** Drops what a snapshot sees, given as its text. */
  readonly forget: (snapshot: string) => void;
  readonly size: () => number;
}

export function trackDelivered(): Delivered {
  const serials = new Map<number, number>();
  let serial = 0;
  return {
    add: (xid) => {
      serials.delete(xid);
      serials.set(xid, serial++);
    },
    mark: () => serial,
    isMissing: (visibility, mark) => {
      let missing = false;
      for (const [xid, at] of serials) {
        // What one snapshot sees, every later one does.
        if (visibility.sees(xid)) serials.delete(xid);
        else if (at < mark) missing = true;
      }
      return missing;
    },
    forget: (snapshot) => {
      const { sees } = parseVisibility(snapshot);
      for (const xid of serials.keys()) if (sees(xid)) serials.delete(xid);
    },
    size: () => serials.size,
  };
}
