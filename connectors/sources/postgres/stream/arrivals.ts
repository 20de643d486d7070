/**
 * The keys that rows of a transaction came to. Where a key is checked only at the end of a transaction,
 * two rows may have it for a moment: one arrives before the other leaves, and the leaving takes the
 * record of the one that stays.
 */
export interface Arrivals {
  readonly add: (record: string) => void;
  /** True when a row that leaves this key may leave another one behind. */
  readonly isDoubtful: (record: string) => boolean;
}

/** More are not remembered: then every leaving is doubtful. */
const most = 100_000;

/** `isPartial`: the transaction's first rows are not told again. */
export function openArrivals(isPartial: boolean): Arrivals {
  const records = new Set<string>();
  let isFull = isPartial;
  return {
    add: (record) => {
      if (records.size < most) records.add(record);
      else isFull = true;
    },
    isDoubtful: (record) => isFull || records.has(record),
  };
}
