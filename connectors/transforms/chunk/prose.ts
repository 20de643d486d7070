import { unitsAt, type Fits, type Unit } from "./unit.ts";

// One locale for all: the boundaries must not depend on where the process runs.
const segmenterOf = (granularity: "sentence" | "word" | "grapheme") =>
  new Intl.Segmenter("en", { granularity });
const sentences = segmenterOf("sentence");
const words = segmenterOf("word");
const graphemes = segmenterOf("grapheme");

/** A paragraph: falls into sentences, those into words, and an endless word into pieces. */
export function paragraph(text: string, start: number, end: number): Unit {
  return { start, end, cut: () => sentencesOf(text, start, end) };
}

/** Paragraphs of a plain text: divided by blank lines. */
export function paragraphsOf(text: string): readonly Unit[] {
  const starts = [0];
  for (const { index, 0: gap } of text.matchAll(/\n[ \t\r]*\n\s*/g))
    starts.push(index + gap.length);
  return unitsAt(
    starts.filter((at) => at === 0 || at < text.length),
    { start: 0, end: text.length },
    (from, to) => paragraph(text, from, to).cut,
  );
}

/** Lines, as of code and tables; those fall into words. */
export function linesOf(text: string, start: number, end: number): readonly Unit[] {
  const starts = [start];
  for (let at = text.indexOf("\n", start); at >= 0 && at + 1 < end; at = text.indexOf("\n", at + 1))
    starts.push(at + 1);
  return unitsAt(starts, { start, end }, (from, to) => () => wordsOf(text, from, to));
}

function sentencesOf(text: string, start: number, end: number): readonly Unit[] {
  // A single line end is no end of a sentence, though the Unicode rules say so: prose is often wrapped.
  const unwrapped = text.slice(start, end).replaceAll("\n", " ");
  const starts = startsOf(unwrapped, sentences, 4_096).map((at) => start + at);
  return unitsAt(starts, { start, end }, (from, to) => () => wordsOf(text, from, to));
}

function wordsOf(text: string, start: number, end: number): readonly Unit[] {
  const starts = startsOf(text.slice(start, end), words, 1_024).map((at) => start + at);
  return unitsAt(starts, { start, end }, (from, to) => (fits) => slicesOf(text, from, to, fits));
}

/**
 * Where segments begin. Looks at one window after the other, because a segmenter copies its whole
 * input for every segment: without windows a long text takes quadratic time.
 */
function startsOf(text: string, segmenter: Intl.Segmenter, window: number): readonly number[] {
  const starts: number[] = [];
  for (let from = 0, size = window; from < text.length;) {
    const to = Math.min(from + size, text.length);
    const found = Array.from(segmenter.segment(text.slice(from, to)), ({ index }) => from + index);
    // The last segment may go on behind the window, so the next window begins with it.
    const last = to < text.length ? found.pop() : to;
    if (last === undefined || last === from) size *= 2;
    else {
      starts.push(...found);
      from = last;
      size = window;
    }
  }
  return starts;
}

/** Slices of an endless word: never inside a grapheme, unless a single one does not fit. */
function slicesOf(text: string, start: number, end: number, fits: Fits): readonly Unit[] {
  const slices: Unit[] = [];
  for (let from = start, to = end; from < end; from = to) {
    to = cutIn(text, from, end, 1_024);
    for (;;) {
      if (fits(from, to)) break;
      const shorter = cutIn(text, from, to, Math.ceil((to - from) / 2));
      if (shorter === to) break;
      to = shorter;
    }
    slices.push({ start: from, end: to, cut: () => [] });
  }
  return slices;
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
