import {
  defineTransform,
  PoisonError,
  RetryableError,
  SluiceError,
  z,
  type JsonObject,
  type QuestionAsked,
} from "sluice";
import { embedQuestion } from "../../_shared/embedders/embed-question.ts";
import { embeddingConfig, openEmbedder } from "../../_shared/embedders/embedding.ts";
import { templateOption } from "../../_shared/liquid/option.ts";
import { applyTogether } from "../../_shared/questions/apply-together.ts";
import { asOf, sourcePointOf } from "../../_shared/questions/as-of.ts";
import { askedBy, isQuestion } from "../../_shared/questions/asked-by.ts";
import { unexpected } from "../../_shared/text/apply-each.ts";
import { parseVector } from "../../_shared/vector-sync/float32.ts";
import { indexConfig, openIndex } from "../../_shared/vector-sync/indexes.ts";
import { filterOf, namespaceOf } from "./where.ts";

const maxTopK = 100;
const visibleWithinMs = 20_000;
const leastWaitMs = 500;

const config = z
  .strictObject({
    index: indexConfig.describe("The index to look in: its sink, and that sink's config."),
    embedding: embeddingConfig
      .unwrap()
      .optional()
      .describe("The model of the index. Default: what `index` says."),
    topK: z
      .number()
      .int()
      .min(1)
      .max(maxTopK)
      .default(5)
      .describe("How many passages to find, where a question does not say."),
    namespace: templateOption
      .optional()
      .describe(
        "Namespace to look in: a name, or a Liquid template over the question's attributes: `{{ tenant }}`. Default: the index's own, if it is one.",
      ),
    filter: z
      .record(z.string(), z.unknown())
      .optional()
      .describe(
        'What to look among, in the index\'s own language; texts may be templates over the question\'s attributes: `{ "tenant": { "$eq": "{{ tenant }}" } }`. A question\'s own filter narrows it further.',
      ),
    minScore: z.number().optional().describe("Leave out what fits less well."),
    maxConcurrent: z
      .number()
      .int()
      .min(1)
      .max(64)
      .default(8)
      .describe("Most questions that are looked up at once."),
  })
  .refine(
    ({ index, namespace }) => namespace !== undefined || !/\{[{%]/.test(index.config.namespace),
    {
      error: "the index has many namespaces: say in which one to look",
      path: ["namespace"],
    },
  );

/** Finds in an index what fits a question. Reads what the sink of that index wrote; takes part in nothing of it. */
export const retrieve = defineTransform({
  name: "retrieve",
  version: "1.0.0",
  summary: "Finds the passages of an index that fit a question.",
  config,
  accepts: ["dev.sluice.question."],
  emits: ["dev.sluice.question."],
  reads: "index",
  async open(context) {
    const { index, topK, minScore, maxConcurrent } = context.config;
    const embedding = context.config.embedding ?? index.config.embedding;
    const embedder = await openEmbedder(embedding, context);
    const reader = await openIndex(index, embedding, context).catch(async (error: unknown) => {
      await embedder.close();
      throw isMissing(error) ? notYet(error) : error;
    });
    const template = context.config.namespace;
    const namespace = template === undefined ? undefined : namespaceOf(template);
    const filter = filterOf(context.config.filter as JsonObject | undefined); // JSON of a config file
    const { meter } = context;
    const { fingerprint, dimensions } = embedder;

    async function vectorOf(
      { id, data }: QuestionAsked,
      { signal }: { readonly signal: AbortSignal },
    ): Promise<Float32Array> {
      const { vector, model, text, query = text } = data;
      if (vector === undefined) return await embedQuestion(embedder, query, { signal, meter });
      const parsed = model === fingerprint ? parseVector(vector, dimensions) : undefined;
      if (parsed) return parsed;
      throw new PoisonError(
        `retrieve: the question ${JSON.stringify(id)} comes with a vector of ${String(model)}, and the index has ${fingerprint}.`,
        {
          code: "retrieve.model-mismatch",
          fix: "Give `embed` the embedding of the index, or leave `embed` out: then it is done here.",
        },
      );
    }

    const apply = applyTogether("retrieve", { maxConcurrent }, async (event, run) => {
      if (!isQuestion(event)) throw unexpected("retrieve", event);
      const { topK: wanted = topK } = event.data;
      if (!Number.isInteger(wanted) || wanted < 1)
        throw bad(`topK is ${JSON.stringify(wanted)}`, `Ask for 1 to ${maxTopK} passages.`);
      const minLsn = minLsnOf(event);
      const [vector, found, place] = await Promise.all([
        vectorOf(event, run),
        filter(event, run),
        namespace?.(event, run),
      ]);
      const query = {
        vector,
        topK: Math.min(wanted, maxTopK),
        ...(found && { filter: found }),
        ...(place !== undefined && { namespace: place }),
        ...(minLsn !== undefined && { minLsn, maxWaitMs: patienceOf(event) }),
      };
      const answer = await reader.search(query, run).catch((error: unknown) => {
        if (isNotVisible(error)) throw tooEarly(event, error);
        throw isBadQuery(error) && event.data.filter ? refused(event, error) : error;
      });
      const { matches, lsn } = answer;
      if (minLsn !== undefined && lsn === undefined && matches.length > 0) throw untold();
      const fitting = matches.filter(({ score }) => minScore === undefined || score >= minScore);
      const points = fitting.map(({ metadata }) => sourcePointOf(metadata));
      return askedBy(event, { matches: fitting, asOf: asOf(points, lsn) });
    });
    return {
      apply,
      close: async () => {
        await Promise.all([reader.close(), embedder.close()]);
      },
    };
  },
});

/** Its sink makes the index when it first runs, perhaps later than this. */
function isMissing(error: unknown): error is SluiceError {
  const codes = ["pinecone.index-missing", "pinecone.local-missing"];
  return error instanceof SluiceError && codes.includes(error.code);
}

function notYet(cause: SluiceError): RetryableError {
  return new RetryableError(`retrieve: there is no index yet: ${cause.message}`, {
    code: "retrieve.no-index",
    reason: "unreachable",
    fix: "Start the sink that makes it, or correct `index`.",
    cause,
  });
}

function minLsnOf({ data: { minLsn } }: QuestionAsked): bigint | undefined {
  if (minLsn === undefined) return undefined;
  if (typeof minLsn === "string" && /^\d{1,20}$/.test(minLsn)) return BigInt(minLsn);
  throw bad(
    `minLsn is ${JSON.stringify(minLsn)}`,
    "Ask with the log position as a decimal number.",
  );
}

/**
 * Questions that wait hold up those behind them, so each waits from when it was asked, and not from when its turn
 * comes: many that wait in vain, by mistake or by malice, hold up the others no longer than one.
 */
function patienceOf({ time }: QuestionAsked): number {
  const ageMs = time === undefined ? 0 : Date.now() - Date.parse(time);
  const leftMs = visibleWithinMs - Math.max(0, ageMs);
  return Number.isNaN(leftMs) ? visibleWithinMs : Math.max(leastWaitMs, leftMs);
}

function bad(what: string, fix: string): PoisonError {
  return new PoisonError(`retrieve: a question's ${what}.`, { code: "retrieve.bad-question", fix });
}

function isNotVisible(error: unknown): boolean {
  return error instanceof RetryableError && error.code === "vectors.not-visible";
}

function isBadQuery(error: unknown): error is SluiceError {
  return error instanceof SluiceError && error.code === "pinecone.bad-query";
}

/** By what somebody asked with, not by what is configured: the questions behind it are not held back. */
function refused({ id }: QuestionAsked, cause: SluiceError): PoisonError {
  return new PoisonError(
    `retrieve: the index refuses the filter of the question ${JSON.stringify(id)}: ${cause.message}`,
    {
      code: "retrieve.bad-question",
      fix: "Ask with a filter in the index's own language, or none.",
      cause,
    },
  );
}

/** Not tried for ever: a position that is never reached would hold back the questions behind it. */
function tooEarly({ id, data }: QuestionAsked, cause: unknown): PoisonError {
  return new PoisonError(
    `retrieve: the index has not come to the log position ${String(data.minLsn)} that the question ${JSON.stringify(id)} waits for.`,
    {
      code: "retrieve.not-visible",
      fix: "Ask again later, or without minLsn.",
      cause,
    },
  );
}

function untold(): PoisonError {
  return new PoisonError("retrieve: this index does not tell its log position.", {
    code: "retrieve.no-lsn",
    fix: "Ask without minLsn.",
  });
}
