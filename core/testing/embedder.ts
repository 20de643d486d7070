import assert from "node:assert/strict";
import { PoisonError } from "../errors.ts";
import type { EmbedderExtension } from "../extension.ts";
import type { Embedder } from "../vectors.ts";
import { definitionCases, word, type Case } from "./conformance.ts";
import { context } from "./fakes/context.ts";
import { answeredElsewhere } from "./killed.ts";
import { leavesNothing } from "./leftovers.ts";
import { secretCases } from "./secrets.ts";

/** Cosine above which two vectors of one text are the same: servers round. */
const same = 0.9999;
/** And how long one may be that its fingerprint calls normalised. */
const unit = 0.01;
const isNormalised = /\/normali[sz]ed$/;
const texts = ["A cat sat on the mat.", "Rates rise again in March.", "猫 🐈 naïve", "x"];

/**
 * What vector sync relies on in an embedder. `module`, the URL of the module that exports it, has it asked in a
 * process of its own too.
 */
export function embedderConformance(given: {
  readonly embedder: EmbedderExtension;
  readonly config: Record<string, unknown>;
  readonly module?: URL | string;
}): readonly Case[] {
  const { embedder: extension, config, module } = given;
  const contextOf = () => context({ config: extension.config.parse(config) });
  const opened = async (
    use: (embedder: Embedder) => Promise<void>,
    context: ReturnType<typeof contextOf> = contextOf(),
  ) => {
    const embedder = await extension.open(context);
    try {
      await use(embedder);
    } finally {
      await embedder.close();
    }
  };
  const embed = (embedder: Embedder, some: readonly string[], more: Partial<Run> = {}) =>
    embedder.embed(some, { input: "passage", signal: new AbortController().signal, ...more });
  const isPoison = { name: "PoisonError" } satisfies Pick<PoisonError, "name">;

  const whenModule = (from: string): readonly Case[] => [
    {
      name: "gives the same vectors in another process",
      run: () =>
        opened(async (embedder) => {
          const { kind, name } = extension;
          const order = { module: from, kind, name, config, texts } as const;
          const there = (await answeredElsewhere(order)) as readonly Float32Array[]; // as kit-child.ts sends them
          assertAlike(there, await embed(embedder, texts));
        }),
    },
  ];

  return [
    ...definitionCases(extension, config),
    ...secretCases(extension, config, async (told) => {
      const embedder = await extension.open(told);
      try {
        return await embed(embedder, texts, { signal: told.signal });
      } finally {
        await embedder.close();
      }
    }),
    {
      name: "is what it is described as",
      run: () =>
        opened(async (embedder) => {
          const { fingerprint, dimensions, maxTokens, maxTexts, maxTokensPerRequest } = embedder;
          assert.match(fingerprint, /^\S+$/);
          for (const count of [dimensions, maxTokens, maxTexts])
            assert.ok(Number.isInteger(count) && count > 0);
          assert.ok(maxTokensPerRequest >= maxTokens, "the longest text fits no request");
          const described = await extension.describe?.(contextOf());
          if (!described) return;
          assert.deepEqual(
            [described.fingerprint, described.dimensions, described.maxTokens],
            [fingerprint, dimensions, maxTokens],
          );
          for (const text of texts)
            assert.equal(described.countTokens(text), embedder.countTokens(text));
        }),
    },
    {
      name: "has one fingerprint, and another for other dimensions",
      run: async () => {
        const told = new Map<number, string>();
        const note = async ({ dimensions, fingerprint }: Embedder) => {
          assert.equal(told.get(dimensions) ?? fingerprint, fingerprint, "opened twice");
          told.set(dimensions, fingerprint);
        };
        await opened(note);
        await opened(note);
        const [own = 0] = told.keys();
        // Where there is an option for them.
        const other = extension.config.safeParse({ ...config, dimensions: Math.ceil(own / 2) });
        if (other.success) await opened(note, context({ config: other.data }));
        assert.equal(new Set(told.values()).size, told.size, "other dimensions, one fingerprint");
      },
    },
    {
      name: "answers one vector a text, in order, whatever stands beside it",
      run: async () => {
        let first: readonly Float32Array[] = [];
        await opened(async (embedder) => {
          first = await embed(embedder, texts);
          assert.equal(first.length, texts.length);
          for (const vector of first) {
            assert.equal(vector.length, embedder.dimensions);
            assertSound(vector);
            if (isNormalised.test(embedder.fingerprint))
              assert.ok(Math.abs(lengthOf(vector) - 1) < unit, "is not normalised");
          }
          assertAlike((await embed(embedder, texts.toReversed())).toReversed(), first);
        });
        await opened(async (embedder) => {
          for (const [at, text] of texts.entries())
            assertAlike(await embed(embedder, [text]), first.slice(at, at + 1));
        });
      },
    },
    {
      name: "tells texts apart, and embeds questions too",
      run: () =>
        opened(async (embedder) => {
          const [one, other] = await embed(embedder, texts);
          assert.ok(cosine(one, other) < same, "two texts have one vector");
          const [question] = await embed(embedder, ["Who sat?"], { input: "query" });
          assert.equal(question?.length, embedder.dimensions);
        }),
    },
    {
      name: "answers several calls at once, each with its own",
      run: () =>
        opened(async (embedder) => {
          const alone: Float32Array[] = [];
          for (const text of texts) alone.push(...(await embed(embedder, [text])));
          const together = await Promise.all(texts.map((text) => embed(embedder, [text])));
          assertAlike(together.flat(), alone);
        }),
    },
    ...(module === undefined ? [] : whenModule(String(module))),
    {
      name: "embeds nothing for no texts",
      run: () => opened(async (embedder) => assert.deepEqual(await embed(embedder, []), [])),
    },
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
      name: "refuses an empty text, which is poison",
      run: () =>
        opened(async (embedder) => {
          for (const empty of ["", " \n"])
            await assert.rejects(embed(embedder, ["fine", empty]), isPoison);
        }),
    },
    {
      name: "takes the longest text and refuses a longer one, which is never cut",
      run: () =>
        opened(async (embedder) => {
          const longest = longestOf(embedder);
          const vectors = await embed(embedder, [longest]);
          assert.equal(vectors.length, 1);
          vectors.forEach(assertSound);
          await assert.rejects(embed(embedder, [`${longest} cat cat cat cat`]), isPoison);
        }),
    },
    {
      name: "counts more tokens for more text",
      run: async () =>
        opened(async ({ countTokens }) => {
          const counts = [1, 10, 100].map((times) => countTokens("cat ".repeat(times)));
          assert.deepEqual(
            counts,
            [...new Set(counts)].toSorted((a, b) => a - b),
          );
          assert.equal(countTokens(texts.join(" ")), countTokens(texts.join(" ")));
        }),
    },
    {
      name: "rejects after an abort, and within a second of one",
      run: () =>
        opened(async (embedder) => {
          await assert.rejects(embed(embedder, ["cat"], { signal: AbortSignal.abort() }));
          const aborter = new AbortController();
          const many = Array.from({ length: Math.min(embedder.maxTexts, 16) }, word);
          const embedding = Promise.allSettled([embed(embedder, many, { signal: aborter.signal })]);
          const start = performance.now();
          aborter.abort();
          await embedding;
          assert.ok(performance.now() - start < 1_000, "took too long");
        }),
    },
    {
      name: "can be closed twice",
      run: () => opened(({ close }) => close()),
    },
    {
      name: "leaves nothing open: no timer, socket, file, thread, child or listener",
      run: () =>
        leavesNothing((signal) =>
          opened(
            async (one) => void (await embed(one, texts, { signal })),
            context({ config: extension.config.parse(config), signal }),
          ),
        ),
    },
  ];
}

type Run = Parameters<Embedder["embed"]>[1];

/** As many words as fit. */
function longestOf({ countTokens, maxTokens }: Embedder): string {
  const of = (words: number) => "cat ".repeat(words).trim();
  let [fits, tooMany] = [1, maxTokens + 1];
  while (tooMany - fits > 1) {
    const middle = (fits + tooMany) >> 1;
    if (countTokens(of(middle)) <= maxTokens) fits = middle;
    else tooMany = middle;
  }
  return of(fits);
}

function assertAlike(vectors: readonly Float32Array[], expected: readonly Float32Array[]) {
  assert.equal(vectors.length, expected.length);
  for (const [at, vector] of vectors.entries())
    assert.ok(cosine(vector, expected[at]) > same, `text ${at + 1} has another vector now`);
}

function assertSound(vector: Float32Array) {
  assert.ok(vector.every(Number.isFinite), "not every value is a number");
  assert.ok(
    vector.some((value) => value !== 0),
    "all values are 0",
  );
}

function lengthOf(vector: Float32Array): number {
  return Math.hypot(...vector);
}

function cosine(a: Float32Array = new Float32Array(), b: Float32Array = new Float32Array()) {
  const dot = (one: Float32Array, other: Float32Array) =>
    one.reduce((sum, value, at) => sum + value * (other[at] ?? NaN), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}
