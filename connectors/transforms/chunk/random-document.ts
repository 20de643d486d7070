/** Seeded random numbers from 0 to 1 (mulberry32): the same seed, the same document. */
export function random(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const words =
  "the of river stone market light quick paper under engine cloud seven garden window letter silver bread north signal copper winter table story number".split(
    " ",
  );

/** One sentence of five to twenty common words. */
export function sentence(next: () => number): string {
  const chosen = Array.from({ length: 5 + Math.floor(next() * 15) }, () => pick(words, next));
  const text = chosen.join(" ");
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

/** Paragraphs as lists of sentences, so that a test can edit one. */
export function paragraphs(next: () => number, count: number, maxSentences: number): string[][] {
  return Array.from({ length: count }, () =>
    Array.from({ length: 1 + Math.floor(next() * maxSentences) }, () => sentence(next)),
  );
}

const oddities = [
  "# A heading",
  "## Nested *heading* with `code` 🐈",
  "### Leaf",
  "Setext heading\n===",
  "## ",
  "```ts\nconst a = 1;\n\n// # not a heading\nlet b = '```';\n```",
  "~~~\n# unclosed fence in a list\n~~~",
  "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |",
  "- one\n- two\n\n  more of two\n  - nested\n- three",
  "1. first\n2. second",
  "> quoted\n> text\n>\n> > deeper",
  "<div>\n<p>html</p>\n</div>",
  "---",
  "    indented code\n    more",
  "[ref]: http://example.com 'title'",
  "猫が窓の外を見ています。雨が降っている。とても静かです。",
  "👩‍👩‍👧‍👦🇨🇭🇯🇵👍🏽 family and flags e\u0301\u0302\u0303",
  "Line one\r\nline two\r\n\r\nnext",
  "한국어 문장입니다. ก็ไม่เป็นไร",
  "tab\tseparated\t\u00a0 and \u200b zero\ufeffwidth",
  "endless".repeat(400),
  `e${"\u0301".repeat(3_000)}`,
  "🐈".repeat(500),
  "word ".repeat(900),
  "[CLS] [SEP] [MASK] <|endoftext|> ## ##",
];

/** A text that holds everything a splitter can trip over, in random order. */
export function oddText(seed: number): string {
  const next = random(seed);
  const blocks = Array.from({ length: 3 + Math.floor(next() * 25) }, () =>
    next() < 0.4 ? paragraphs(next, 1, 30).flat().join(" ") : pick(oddities, next),
  );
  return blocks.map((block) => block + (next() < 0.8 ? "\n\n" : "\n")).join("");
}

function pick<T>(items: readonly T[], next: () => number): T {
  const item = items[Math.floor(next() * items.length)];
  if (item === undefined) throw new RangeError("nothing to pick from");
  return item;
}
