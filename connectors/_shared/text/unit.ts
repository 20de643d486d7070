/** Whether the stretch of text from `start` to `end` fits into one chunk. */
export type Fits = (start: number, end: number) => boolean;

/** A stretch of text that is better not cut, and the smaller stretches it falls into where it must be. */
export interface Unit {
  readonly start: number;
  readonly end: number;
  /** Smaller units that together cover this one. Called only when it does not fit. */
  readonly cut: (fits: Fits) => Iterable<Unit>;
}

/**
 * Units between `start` and `end` that begin at the given places; what lies before the first belongs
 * to it, so that nothing of the text is lost between units.
 */
export function* unitsAt(
  starts: Iterable<number>,
  { start, end }: { readonly start: number; readonly end: number },
  cutOf: (start: number, end: number, index: number) => Unit["cut"],
): Generator<Unit> {
  let index = -1;
  let from = start;
  for (const at of starts) {
    if (index >= 0) yield { start: from, end: at, cut: cutOf(from, at, index) };
    if (index >= 0) from = at;
    index++;
  }
  if (index >= 0) yield { start: from, end, cut: cutOf(from, end, index) };
}
