import { createHash } from "node:crypto";

const languages = ["de", "en", "fr", "it", "es", "pt", "nl", "sv", "pl", "cs"];

/** Unit vectors in every direction, the same for the same number: the hardest case for a search that skips. */
export function* makeVectors(given: {
  readonly dimensions: number;
  readonly first: number;
  readonly count: number;
}) {
  const { dimensions, first, count } = given;
  for (let number = first; number < first + count; number++) {
    const random = normals(number);
    const values = Array.from({ length: dimensions }, () => random());
    const length = Math.hypot(...values);
    yield {
      // As real ids are: in no order.
      id: `${createHash("sha256").update(String(number)).digest("hex").slice(0, 16)}#${number}`,
      values: values.map((value) => Number((value / length).toPrecision(8))),
      metadata: {
        lang: languages[number % languages.length],
        group: Math.floor(number / languages.length) % 100,
        title: `Document ${number}`,
        tags: [`t${number % 7}`, `t${number % 11}`],
      },
    };
  }
}

/** Encoded upserts. */
export function* upsertBodies(given: {
  readonly dimensions: number;
  readonly batch: number;
  readonly first: number;
  readonly count: number;
}): Generator<string> {
  const { dimensions, batch, first, count } = given;
  for (let at = first; at < first + count; at += batch) {
    const size = Math.min(batch, first + count - at);
    yield JSON.stringify({ vectors: [...makeVectors({ dimensions, first: at, count: size })] });
  }
}

/** Normally distributed numbers that a seed repeats (Box and Muller, over mulberry32). */
function normals(seed: number): () => number {
  let state = seed | 0;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (((mixed ^ (mixed >>> 14)) >>> 0) + 1) / (2 ** 32 + 1);
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}
