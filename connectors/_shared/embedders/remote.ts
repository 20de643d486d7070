import {
  ConfigError,
  PoisonError,
  RetryableError,
  SluiceError,
  type Context,
  type Embedder,
  type EmbedderDescription,
} from "sluice";
import type { Refusal, Service } from "./ask.ts";
import { checkTexts, checkVectors } from "./checks.ts";

/** What a service's protocol says: how to ask, and what an answer means. */
export interface Protocol {
  readonly request: (texts: readonly string[], input: "passage" | "query") => object;
  /** One vector a text, in order; `undefined` where the body is none of this protocol. */
  readonly vectors: (body: unknown) => readonly Float32Array[] | undefined;
  /** What the answer says it cost. */
  readonly tokens: (body: unknown) => number | undefined;
}

/** An embedder over HTTP: batches within its caps, checked answers, and refusals told apart by whose fault they are. */
export function remoteEmbedder(options: {
  readonly description: EmbedderDescription;
  readonly maxTexts: number;
  readonly maxTokensPerRequest: number;
  readonly service: Service;
  readonly protocol: Protocol;
  readonly meter: Context<unknown>["meter"];
}): Embedder {
  const { description, maxTexts, maxTokensPerRequest, service, protocol, meter } = options;
  const embedder = { ...description, maxTexts, maxTokensPerRequest };
  const { dimensions, fingerprint } = description;

  async function vectorsOf(
    texts: readonly string[],
    run: Parameters<Embedder["embed"]>[1],
  ): Promise<readonly Float32Array[]> {
    const answer = await service.ask(protocol.request(texts, run.input), run);
    if ("refusal" in answer) throw await judged(answer.refusal, texts, run);
    const vectors = protocol.vectors(answer.body);
    if (vectors === undefined)
      throw new SluiceError(`embed: ${fingerprint} answered something else than embeddings.`, {
        code: "embed.bad-vector",
        fix: "Check that url names the right service.",
      });
    checkDimensions(vectors);
    checkVectors(vectors, { texts: texts.length, dimensions });
    const tokens = protocol.tokens(answer.body);
    if (tokens !== undefined) meter("embed_tokens", tokens);
    return vectors;
  }

  /** All of another length: that is the model, not an accident. */
  function checkDimensions(vectors: readonly Float32Array[]): void {
    const [first] = vectors;
    if (first === undefined || first.length === dimensions) return;
    if (vectors.some(({ length }) => length !== first.length)) return;
    throw new ConfigError(
      `embed: the model ${fingerprint} makes ${first.length} dimensions, not ${dimensions}.`,
      {
        code: "embed.dimensions",
        fix: `Set embedding.dimensions to ${first.length}, and use an index of as many.`,
      },
    );
  }

  /** Is it the texts, or would any text be refused? The service is asked with one that nobody can mind. */
  async function judged(
    refusal: Refusal,
    texts: readonly string[],
    run: Parameters<Embedder["embed"]>[1],
  ): Promise<Error> {
    const isAboutTexts = [400, 413, 422].includes(refusal.status);
    if (!isAboutTexts) return refused(refusal);
    const probe = await service.ask(protocol.request(["ok"], run.input), run);
    if ("refusal" in probe) return refused(probe.refusal);
    return new PoisonError(
      `embed: ${fingerprint} refuses ${texts.length === 1 ? "a text" : `${texts.length} texts`}: ${refusal.message}`,
      {
        code: "embed.rejected",
        fix: "Correct or shorten the record's text, then replay the dead letter.",
      },
    );
  }

  function refused({ status, message }: Refusal): RetryableError {
    const isKey = status === 401;
    return new RetryableError(`embed: ${fingerprint} is refused with ${status}: ${message}`, {
      code: isKey ? "embed.unauthorized" : "embed.refused",
      reason: "refused",
      fix: isKey
        ? "Set embedding.apiKey to a valid key."
        : "Check the embedding's model, url, options and the account's rights.",
    });
  }

  return {
    ...embedder,
    embed: async (texts, run) => {
      run.signal.throwIfAborted();
      checkTexts(texts, embedder);
      return texts.length === 0 ? [] : await vectorsOf(texts, run);
    },
    close: async () => {},
  };
}
