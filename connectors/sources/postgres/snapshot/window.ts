import type { Visibility } from "./visibility.ts";

/**
 * A chunk of a table between its reading and its place in the stream. While it waits, the stream goes
 * on; a row that a transaction touched which the chunk's snapshot did not see is stale in the chunk,
 * and the stream brings the newer one.
 */
export interface Window {
  /** A streamed row of the table: its key, by the transaction that touched it. */
  readonly touch: (xid: number, key: string) => void;
  /** A truncate: every row read is stale. */
  readonly touchAll: (xid: number) => void;
  /** The chunk must be read again: the table's shape changed, or too much happened meanwhile. */
  readonly spoil: () => void;
  readonly isSpoiled: () => boolean;
  /** The chunk is read, with these keys: what `visibility` sees of the touches so far is in it. */
  readonly settle: (visibility: Visibility, keys: ReadonlySet<string>) => void;
  readonly isStale: (key: string) => boolean;
}

/** Touches remembered while the read runs; after more it is read again. */
const maxTouches = 200_000;

export function openWindow(): Window {
  let chunk: { readonly visibility: Visibility; readonly keys: ReadonlySet<string> } | undefined;
  let spoiled = false;
  let cleared = false;
  const early: (readonly [number, string | undefined])[] = [];
  const stale = new Set<string>();

  const take = (xid: number, key: string | undefined) => {
    if (!chunk) {
      if (early.length >= maxTouches) spoiled = true;
      else early.push([xid, key]);
    } else if (!chunk.visibility.sees(xid)) {
      if (key === undefined) cleared = true;
      else if (chunk.keys.has(key)) stale.add(key);
    }
  };
  return {
    touch: take,
    touchAll: (xid) => take(xid, undefined),
    spoil: () => void (spoiled = true),
    isSpoiled: () => spoiled,
    settle: (visibility, keys) => {
      chunk = { visibility, keys };
      for (const [xid, key] of early.splice(0)) take(xid, key);
    },
    isStale: (key) => cleared || stale.has(key),
  };
}
