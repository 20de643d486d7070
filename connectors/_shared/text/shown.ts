/** What the parser is shown of a text: a little at a time, without what costs it much and tells it nothing. */
export interface Shown {
  readonly text: string;
  readonly lastLine: number;
  /** Where the next stretch begins. */
  readonly to: number;
  /** The place in the whole text of a place in the shown one; -1 for one in the prefix. */
  readonly offsetOf: (at: number) => number;
}

/** Lists and quotes nested deeper are lines of text. */
export const maxDepth = 32;

// The parser takes quadratic time in lines and depth, so it sees a few milliseconds' worth at once.
const maxCost = 4_096;
const costOfLine = 32;
const costOfMarker = 16;

// The beginning of a line tells its kind, and its end may close what it begins (`-->`).
const head = 768;
const tail = 256;

/** Shows the lines of `prefix`, then lines of the text from `from` on: at least two, so that there is progress. */
export function show(text: string, from: number, prefix: readonly string[]): Shown {
  const parts = prefix.map(lineShown);
  const prefixLength = parts.reduce((sum, { length }) => sum + length, 0);
  const gaps: { readonly at: number; readonly length: number }[] = [];
  let [lastLine, to] = [from, from];
  let length = prefixLength;
  for (let cost = 0, lines = 0; to < text.length && (cost < maxCost || lines < 2); lines++) {
    const next = nextLine(text, to);
    const line = lineShown(text.slice(to, next));
    if (line.length < next - to) gaps.push({ at: length + head, length: next - to - line.length });
    parts.push(line);
    length += line.length;
    cost += costOfLine + line.length + costOfMarker * markersOf(line).length;
    [lastLine, to] = [to, next];
  }
  return {
    // The parser skips a byte order mark, and with it our offsets.
    text: parts.join("").replace(/^\uFEFF/, " "),
    lastLine,
    to,
    offsetOf: (at) => {
      if (at < prefixLength) return -1;
      const skipped = gaps.filter((gap) => gap.at < at).reduce((sum, gap) => sum + gap.length, 0);
      return from + at - prefixLength + skipped;
    },
  };
}

/** Where the line that holds `at` begins. */
export function lineStart(text: string, at: number): number {
  let start = at;
  while (start > 0 && text[start - 1] !== "\n" && text[start - 1] !== "\r") start--;
  return start;
}

/** Where the line after the one that holds `at` begins. */
export function nextLine(text: string, at: number): number {
  const end = /\r\n?|\n/g;
  end.lastIndex = at;
  return end.test(text) ? end.lastIndex : text.length;
}

function lineShown(line: string): string {
  const shown = line.length > head + tail ? line.slice(0, head) + line.slice(-tail) : line;
  const tooDeep = markersOf(shown)[maxDepth];
  // A break, however long.
  if (tooDeep === undefined || /^[ \t]*([-*])(?:[ \t]*\1)*\s*$/.test(shown)) return shown;
  return `${shown.slice(0, tooDeep)}x${shown.slice(tooDeep + 1)}`;
}

/** Where the marks of quotes and list items are that a line begins with. */
function markersOf(line: string): readonly number[] {
  const marker = /[ \t]*(>|(?:[-+*]|\d{1,9}[.)])(?=\s))/y;
  const places: number[] = [];
  for (let found = marker.exec(line); found; found = marker.exec(line))
    places.push(marker.lastIndex - (found[1]?.length ?? 0));
  return places;
}
