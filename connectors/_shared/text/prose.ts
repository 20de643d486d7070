import { unitsAt, type Fits, type Unit } from "./unit.ts";

// One locale for all: the boundaries must not depend on where the process runs.
const segmenterOf = (granularity: "sentence" | "word" | "grapheme") =>
  new Intl.Segmenter("en", { granularity });
const sentences = segmenterOf("sentence");
const words = segmenterOf("word");
const graphemes = segmenterOf("grapheme");

/** A longer sentence or word is taken for several: to look for its end would hold up the thread. */
const maxSegment = 131_072;

/** A paragraph: falls into sentences, those into words, and an endless word into pieces. */
export function paragraph(text: string, start: number, end: number): Unit {
  return { start, end, cut: () => sentencesOf(text, start, end) };
}

/** Paragraphs of a plain text: divided by blank lines. */
export function paragraphsOf(text: string): Iterable<Unit> {
  return unitsAt(
    paragraphStarts(text),
    { start: 0, end: text.length },
    (from, to) => paragraph(text, from, to).cut,
  );
}

function* paragraphStarts(text: string): Generator<number> {
  yield 0;
  for (const { index, 0: gap } of text.matchAll(/\n[ \t\r]*\n\s*/g))
    if (index + gap.length < text.length) yield index + gap.length;
}

/** Lines, as of code and tables; those fall into words. */
export function linesOf(text: string, start: number, end: number): Iterable<Unit> {
  return unitsAt(
    lineStarts(text, start, end),
    { start, end },
    (from, to) => () => wordsOf(text, from, to),
  );
}

function* lineStarts(text: string, start: number, end: number): Generator<number> {
  yield start;
  for (let at = text.indexOf("\n", start); at >= 0 && at + 1 < end; at = text.indexOf("\n", at + 1))
    yield at + 1;
}

function sentencesOf(text: string, start: number, end: number): Iterable<Unit> {
  // A single line end is no end of a sentence, though the Unicode rules say so: prose is often wrapped.
  const unwrapped = (from: number, to: number) => text.slice(from, to).replaceAll("\n", " ");
  const starts = startsOf(unwrapped, { start, end, segmenter: sentences, window: 4_096 });
  return unitsAt(starts, { start, end }, (from, to) => () => wordsOf(text, from, to));
}

function wordsOf(text: string, start: number, end: number): Iterable<Unit> {
  const whole = (from: number, to: number) => text.slice(from, to);
  const starts = startsOf(whole, { start, end, segmenter: words, window: 1_024 });
  return unitsAt(starts, { start, end }, (from, to) => (fits) => slicesOf(text, from, to, fits));
}

/**
 * Where segments begin. Looks at one window after the other, because a segmenter copies its whole
 * input for every segment: without windows a long text takes quadratic time.
 */
function* startsOf(
  slice: (from: number, to: number) => string,
  {
    start,
    end,
    segmenter,
    window,
  }: {
    readonly start: number;
    readonly end: number;
    readonly segmenter: Intl.Segmenter;
    readonly window: number;
  },
): Generator<number> {
  for (let from = start, size = window; from < end;) {
    const to = Math.min(from + size, end);
    const part = slice(from, to);
    let next = from;
    let isWhole = true;
    for (const { index } of segmenter.segment(part)) {
      if (index === 0) continue;
      yield next;
      next = from + index;
      // Of a large window only the segment that made it so: the others are cheaper in small ones.
      isWhole = size === window;
      if (!isWhole) break;
    }
    if (to === end && isWhole) {
      yield next;
      return;
    }
    // The last segment may go on behind the window, so the next window begins with it.
    if (next === from && size < maxSegment) {
      size *= 2;
      continue;
    }
    if (next === from) {
      yield from;
      next = from + (part.lastIndexOf(" ") + 1 || cutIn(part, 0, part.length, part.length - 64));
    }
    [from, size] = [next, window];
  }
}

/** Slices of an endless word: never inside a grapheme, unless a single one does not fit. */
function* slicesOf(text: string, start: number, end: number, fits: Fits): Generator<Unit> {
  for (let from = start, to = end; from < end; from = to) {
    to = cutIn(text, from, end, 1_024);
    for (;;) {
      if (fits(from, to)) break;
      const shorter = cutIn(text, from, to, Math.ceil((to - from) / 2));
      if (shorter === to) break;
      to = shorter;
    }
    yield { start: from, end: to, cut: () => [] };
  }
}

/** A place between `from` and `to`, near `from + length`: between graphemes if there is one, else between code points. */
function cutIn(text: string, from: number, to: number, length: number): number {
  if (from + length >= to) return to;
  // What follows decides whether a grapheme ends, so a little of it is looked at too.
  const near = graphemes.segment(text.slice(from, Math.min(to, from + length + 64)));
  const index = near.containing(length)?.index ?? 0;
  if (index > 0) return from + index;
  const first = near.containing(0)?.segment.length ?? 0;
  if (first < Math.min(to - from, length + 64)) return from + first;
  const at = from + length;
  const isInPair = (text.charCodeAt(at) & 0xfc00) === 0xdc00;
  return isInPair ? at + 1 : at;
}
