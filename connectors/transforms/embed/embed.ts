import {
  defineTransform,
  PartialError,
  PoisonError,
  z,
  type Applicable,
  type DocumentUpserted,
  type Output,
} from "sluice";
import { embedQuestion } from "../../_shared/embedders/embed-question.ts";
import { embeddingConfig, openEmbedder } from "../../_shared/embedders/embedding.ts";
import { applyTogether } from "../../_shared/questions/apply-together.ts";
import { askedBy, isQuestion } from "../../_shared/questions/asked-by.ts";
import { unexpected } from "../../_shared/text/apply-each.ts";
import { toBase64 } from "../../_shared/vector-sync/float32.ts";
import { embedded, keyedChunks, textsOf } from "./documents.ts";
import { passageVectors } from "./passages.ts";

const config = z.strictObject({
  input: z
    .enum(["passage", "query"])
    .default("passage")
    .describe("What comes: documents, whose chunks get vectors, or questions."),
  embedding: embeddingConfig,
  vectorCacheMiB: z
    .number()
    .min(0)
    .max(65_536)
    .default(64)
    .describe(
      "Size of the cache of passages' vectors in state: what was embedded before is not embedded again. 0 turns it off.",
    ),
  maxConcurrent: z
    .number()
    .int()
    .min(1)
    .max(64)
    .default(8)
    .describe("Most questions that are embedded at once."),
});

/** Gives the chunks of documents their vectors, or questions theirs, as the sink itself would: bit for bit. */
export const embed = defineTransform({
  name: "embed",
  version: "1.0.0",
  summary: "Turns the chunks of documents, or questions, into vectors.",
  config,
  accepts: ["dev.sluice.document.", "dev.sluice.question."],
  emits: [""],
  annotates: true,
  async open(context) {
    const { input, embedding, vectorCacheMiB, maxConcurrent } = context.config;
    const { state, meter } = context;
    const embedder = await openEmbedder(embedding, context);
    const { fingerprint: model } = embedder;
    const maxCacheBytes = vectorCacheMiB * 2 ** 20;
    const vectorsFor = passageVectors({ embedder, state, maxCacheBytes, meter });

    async function embedDocuments(
      events: readonly Applicable[],
      run: { readonly signal: AbortSignal },
    ): Promise<readonly Output[]> {
      const documents = events.map((event) => {
        if (!isDocument(event)) return { event, error: unexpected("embed", event) };
        return { event, chunks: keyedChunks(event, embedder) };
      });
      const chunks = documents.flatMap((one) => one.chunks ?? []);
      const passages = await vectorsFor(textsOf(chunks), run);
      const failures = new Map<number, PoisonError>();
      const outputs = documents.map((one, at): Output => {
        const made = one.chunks ? embedded(one.event, one.chunks, passages, embedder) : one.error;
        if (!(made instanceof PoisonError)) return made;
        failures.set(at, made);
        return one.event;
      });
      const [first] = failures.values();
      if (first && events.length === 1) throw first;
      if (failures.size === 0) return outputs;
      throw new PartialError(`embed: ${failures.size} of ${events.length} events failed.`, {
        code: "transform.partial",
        failures,
      });
    }

    const embedQuestions = applyTogether("embed", { maxConcurrent }, async (event, { signal }) => {
      if (!isQuestion(event)) throw unexpected("embed", event);
      const { text, query = text } = event.data;
      const vector = toBase64(await embedQuestion(embedder, query, { signal, meter }));
      return askedBy(event, { vector, model });
    });

    return {
      apply: input === "passage" ? embedDocuments : embedQuestions,
      close: () => embedder.close(),
    };
  },
});

function isDocument(event: Applicable): event is DocumentUpserted {
  return event.type === "dev.sluice.document.upserted";
}
