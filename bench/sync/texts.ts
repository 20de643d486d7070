const words =
  "the of and to in is it for on with as by at from this that which report river account contract lantern harbour delivery meadow signal winter invoice orchard engine ladder paper summit customer velvet mirror garden bridge payment cellar request ticket answer team week price change order".split(
    " ",
  );

/** Paragraphs of natural words, each different; the same for the same seed. */
export function openTexts(seed: number): { readonly next: (length?: number) => string } {
  let state = seed;
  // mulberry32
  const random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  let made = 0;
  return {
    next: (length = 40) =>
      `${++made} ${Array.from({ length }, () => words[Math.floor(random() * words.length)]).join(" ")}.`,
  };
}
