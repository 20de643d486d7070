/**
 * Where in its origin's history a record's change stands; compared bytewise, higher wins.
 * Layout: 8 hex epoch, 16 hex position, 1 digit rank, then a tail. Only `version` builds one, and `positionOf` reads it.
 */
export type Version = string;

/**
 * Builds a version.
 *
 * - `epoch` counts coordinate spaces (a new replication slot, a restored server), never snapshots. 0 … 2³²−1.
 * - `position` is the place in the origin's log. 0 … 2⁶⁴−1.
 * - `rank` is the source's tie-break at one position, usually snapshot (0) against change (1).
 * - `tail` orders what shares a position: an ordinal (8 hex), or text that already sorts bytewise.
 *
 * Throws `RangeError` when a part does not fit: a version that sorts wrongly would lose data silently.
 */
export function version(parts: {
  readonly epoch: number;
  readonly position: bigint;
  readonly rank: 0 | 1;
  readonly tail: number | string;
}): Version {
  const { epoch, position, rank, tail } = parts;
  if (!Number.isInteger(epoch) || epoch < 0 || epoch > 0xffff_ffff)
    throw new RangeError(`version: epoch ${epoch} is not an unsigned 32-bit integer.`);
  if (position < 0n || position > 0xffff_ffff_ffff_ffffn)
    throw new RangeError(`version: position ${position} is not an unsigned 64-bit integer.`);
  const end = typeof tail === "string" ? tail : hex(tail, 8);
  return hex(epoch, 8) + hex(position, 16) + rank + end;
}

/** The `position` that `version` was given; `undefined` for what it did not build. */
export function positionOf(version: Version): bigint | undefined {
  const [, digits] = /^[0-9a-f]{8}([0-9a-f]{16})[01]/.exec(version) ?? [];
  return digits === undefined ? undefined : BigInt(`0x${digits}`);
}

function hex(value: number | bigint, digits: number): string {
  const text = value.toString(16);
  if (text.length > digits || value < 0 || (typeof value === "number" && !Number.isInteger(value)))
    throw new RangeError(`version: ${value} does not fit ${digits} hex digits.`);
  return text.padStart(digits, "0");
}
