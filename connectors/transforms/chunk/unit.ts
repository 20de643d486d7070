/** Whether the stretch of text from `start` to `end` fits into one chunk. */
export type Fits = (start: number, end: number) => boolean;

/** A stretch of text that is better not cut, and the smaller stretches it falls into where it must be. */
export interface Unit {
  readonly start: number;
  readonly end: number;
  /** Smaller units that together cover this one. Called only when it does not fit. */
  readonly cut: (fits: Fits) => readonly Unit[];
}

/**
 * Units between `start` and `end` that begin at the given places; what lies before the first belongs
 * to it, so that nothing of the text is lost between units.
 */
export function unitsAt(
  starts: readonly number[],
  { start, end }: { readonly start: number; readonly end: number },
  cutOf: (start: number, end: number, index: number) => Unit["cut"],
): readonly Unit[] {
  return starts.map((at, index) => {
    const from = index === 0 ? start : at;
    const to = starts[index + 1] ?? end;
    return { start: from, end: to, cut: cutOf(from, to, index) };
  });
}
