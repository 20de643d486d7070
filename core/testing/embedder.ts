import assert from "node:assert/strict";
import type { EmbedderExtension } from "../extension.ts";
import type { Embedder } from "../vectors.ts";
import { definitionCases, type Case, type WrittenConfig } from "./conformance.ts";
import { fingerprintCases } from "./embedder-fingerprints.ts";
import { embedderLengthCases, longestOf } from "./embedder-lengths.ts";
import { assertFits, inputs, isOther, isPoison } from "./embedder-vectors.ts";
import { context, type FakeContext } from "./fakes/context.ts";
import { settlesOnAbort } from "./held-answers.ts";
import { answeredElsewhere } from "./killed.ts";
import { leavesNothing } from "./leftovers.ts";
import { secretCases } from "./secrets.ts";

const texts = ["A cat sat on the mat.", "Rates rise again in March.", "猫 🐈 naïve", "x"];
/** More would say nothing new, and take long. */
const abortedTexts = 16;

type Run = Parameters<Embedder["embed"]>[1];

/** What the cases of an embedder share. */
export interface EmbedderBench {
  readonly extension: EmbedderExtension;
  readonly config: WrittenConfig;
  readonly opened: (
    use: (embedder: Embedder) => Promise<void>,
    context?: FakeContext<unknown>,
  ) => Promise<void>;
  readonly embed: (
    embedder: Embedder,
    texts: readonly string[],
    more?: Partial<Run>,
  ) => Promise<readonly Float32Array[]>;
}

/**
 * What vector sync relies on in an embedder. `module`, the URL of the module that exports it, has it asked in a
 * process of its own too. Aborts are tried while no socket of this process hears anything: one that asks a service is
 * waiting for it then.
 */
export function embedderConformance(given: {
  readonly embedder: EmbedderExtension;
  readonly config: Record<string, unknown>;
  readonly module?: URL | string;
}): readonly Case[] {
  const { embedder: extension, config, module } = given;
  const contextOf = () => context<unknown>({ config: extension.config.parse(config) });
  const opened: EmbedderBench["opened"] = async (use, told = contextOf()) => {
    const embedder = await extension.open(told);
    try {
      await use(embedder);
    } finally {
      await embedder.close();
    }
  };
  const embed: EmbedderBench["embed"] = (embedder, some, more = {}) =>
    embedder.embed(some, { input: "passage", signal: new AbortController().signal, ...more });
  const bench: EmbedderBench = { extension, config, opened, embed };

  const whenModule = (from: string): readonly Case[] => [
    {
      name: "gives the same vectors in another process, under the same fingerprint",
      run: () =>
        opened(async (embedder) => {
          const { kind, name } = extension;
          const order = { module: from, kind, name, config, texts } as const;
          const [fingerprint, ...vectors] = await answeredElsewhere(order);
          assert.equal(fingerprint, embedder.fingerprint, "has two fingerprints");
          assertAlike(vectors as Float32Array[], await embed(embedder, texts)); // as kit-child.ts sends them
        }),
    },
  ];

  return [
    ...definitionCases(extension, config),
    ...secretCases(extension, config, async (told) => {
      const embedder = await extension.open(told);
      const { signal } = told;
      try {
        return await Promise.allSettled([
          ...inputs.map((input) => embed(embedder, texts, { signal, input })),
          embed(embedder, [""], { signal }),
        ]);
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
    ...fingerprintCases(bench),
    {
      name: "answers one vector a text, in order, whatever stands beside it",
      run: async () => {
        let first: readonly Float32Array[] = [];
        await opened(async (embedder) => {
          first = await embed(embedder, texts);
          assert.equal(first.length, texts.length);
          for (const vector of first) assertFits(vector, embedder);
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
          for (const input of inputs) {
            const [one, other, ...more] = await embed(embedder, texts, { input });
            assert.ok(isOther(one, other), "two texts have one vector");
            for (const vector of [one, other, ...more]) assertFits(vector, embedder);
          }
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
    {
      name: "leaves alone what it has answered",
      run: () =>
        opened(async (embedder) => {
          const answered = await embed(embedder, texts);
          const copies = answered.map((vector) => vector.slice());
          await embed(embedder, texts.toReversed());
          assert.deepEqual(answered, copies);
        }),
    },
    ...(module === undefined ? [] : whenModule(String(module))),
    {
      name: "embeds nothing for no texts",
      run: () => opened(async (embedder) => assert.deepEqual(await embed(embedder, []), [])),
    },
    {
      name: "refuses an empty text, which is poison",
      run: () =>
        opened(async (embedder) => {
          for (const input of inputs)
            for (const empty of ["", " \n", "\t\r\n", "\u00a0\u3000"])
              await assert.rejects(embed(embedder, ["fine", empty], { input }), isPoison);
        }),
    },
    ...embedderLengthCases(bench),
    {
      name: "rejects after an abort, and within a second of one",
      run: () =>
        opened(async (embedder) => {
          const { maxTexts, maxTokens, maxTokensPerRequest } = embedder;
          const count = Math.min(maxTexts, Math.floor(maxTokensPerRequest / maxTokens));
          const long = longestOf(embedder);
          const many = Array<string>(Math.min(count, abortedTexts)).fill(long);
          for (const input of inputs) {
            const aborted = { input, signal: AbortSignal.abort() };
            await assert.rejects(embed(embedder, ["cat"], aborted));
            await settlesOnAbort(`a call for a ${input}`, (signal) =>
              embed(embedder, many, { input, signal }),
            );
          }
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
            async (one) => {
              for (const input of inputs) await embed(one, texts, { signal, input });
              await assert.rejects(embed(one, [""], { signal }));
            },
            context({ config: extension.config.parse(config), signal }),
          ),
        ),
    },
  ];
}

function assertAlike(vectors: readonly Float32Array[], expected: readonly Float32Array[]) {
  assert.equal(vectors.length, expected.length);
  for (const [at, vector] of vectors.entries())
    assert.ok(!isOther(vector, expected[at]), `text ${at + 1} has another vector now`);
}
