import assert from "node:assert/strict";
import type { Embedder } from "../vectors.ts";
import type { Case } from "./conformance.ts";
import type { EmbedderBench } from "./embedder.ts";
import { assertFits, inputs, isOther, isPoison } from "./embedder-vectors.ts";

/** Of letters that every model knows, and of others. */
const fillers = ["cat ", "кот "];
/** What one text ends with, and another that is the same until then. */
const tails = ["dogs bark ", "rates rise "];
/** How much of a text its tail is: enough to be seen in the vector of a long one. */
const tailShare = 1 / 8;
/** More would say nothing new, and take long. */
const mostTexts = 64;

/** How much an embedder takes, and that it sees all of it. */
export function embedderLengthCases({ opened, embed }: EmbedderBench): readonly Case[] {
  return [
    {
      name: "takes as many texts as it says",
      run: () =>
        opened(async (embedder) => {
          const { maxTexts, maxTokensPerRequest, countTokens } = embedder;
          const count = Math.min(maxTexts, Math.floor(maxTokensPerRequest / countTokens("cat")));
          const vectors = await embed(embedder, Array<string>(count).fill("cat"));
          assert.equal(vectors.length, count);
        }),
    },
    {
      name: "takes as many tokens a call as it says",
      run: () =>
        opened(async (embedder) => {
          const { maxTexts, maxTokensPerRequest, countTokens } = embedder;
          const text = longestOf(embedder);
          const fitting = Math.floor(maxTokensPerRequest / countTokens(text));
          const count = Math.min(fitting, maxTexts, mostTexts);
          const vectors = await embed(embedder, Array<string>(count).fill(text));
          assert.equal(vectors.length, count);
        }),
    },
    {
      name: "takes the longest text and refuses a longer one, which is never cut",
      run: () =>
        opened(async (embedder) => {
          for (const input of inputs)
            for (const filler of fillers) {
              const longest = longestOf(embedder, { filler });
              const [vector, ...more] = await embed(embedder, [longest], { input });
              assertFits(vector, embedder);
              assert.deepEqual(more, []);
              const longer = `${longest} ${filler.repeat(4)}`;
              await assert.rejects(embed(embedder, [longer], { input }), isPoison);
            }
        }),
    },
    {
      name: "sees the longest text to its end",
      run: () =>
        opened(async (embedder) => {
          for (const input of inputs)
            for (const filler of fillers) {
              const vectors: Float32Array[] = [];
              for (const tail of tails)
                vectors.push(
                  ...(await embed(embedder, [longestOf(embedder, { filler, tail })], { input })),
                );
              const [one, other] = vectors;
              assert.ok(isOther(one, other), `does not see how a long ${input} ends`);
            }
        }),
    },
    {
      name: "counts more tokens for more text",
      run: () =>
        opened(async ({ countTokens }) => {
          for (const filler of [...fillers, "猫 "]) {
            const counts = [1, 10, 100].map((times) => countTokens(filler.repeat(times)));
            const rising = [...new Set(counts)].toSorted((a, b) => a - b);
            assert.deepEqual(counts, rising);
            assert.equal(countTokens(filler.repeat(10)), counts[1]);
          }
        }),
    },
  ];
}

/** As many words as fit, the last of them of a tail. */
export function longestOf(
  { countTokens, maxTokens }: Pick<Embedder, "countTokens" | "maxTokens">,
  { filler = "cat ", tail = filler }: { readonly filler?: string; readonly tail?: string } = {},
): string {
  const of = (words: number) => {
    const last = Math.ceil(words * tailShare);
    return `${filler.repeat(words - last)}${tail.repeat(last)}`.trim();
  };
  let [fits, tooMany] = [1, maxTokens + 1];
  while (tooMany - fits > 1) {
    const middle = (fits + tooMany) >> 1;
    if (countTokens(of(middle)) <= maxTokens) fits = middle;
    else tooMany = middle;
  }
  return of(fits);
}
