import { PoisonError, SluiceError, z } from "sluice";
import { textOf } from "../http/text-of.ts";
import { broken, cut, nonsense } from "./refusals.ts";

/** A whole answer of a model. */
export interface Completion {
  readonly text: string;
  /** It ended at its limit of tokens. */
  readonly isCut: boolean;
  readonly tokens?: { readonly prompt: number; readonly completion: number };
}

const maxLength = 4 * 2 ** 20;
const maxBytes = 16 * 2 ** 20;

const usage = z
  .object({ prompt_tokens: z.number(), completion_tokens: z.number() })
  .nullish()
  .catch(undefined);
const part = z.object({ content: z.string().nullish() });
const piece = z.object({
  choices: z
    .array(
      z.object({
        delta: part.nullish(),
        message: part.nullish(),
        finish_reason: z.string().nullish(),
      }),
    )
    .default([]),
  usage,
  error: z.unknown().optional(),
});

/** Reads an answer, streamed or in one piece. Throws for one that is cut: half an answer is none. */
export async function readCompletion(response: Response, host: string): Promise<Completion> {
  const { headers, body } = response;
  const answer = gathering(host);
  if (!headers.get("content-type")?.includes("text/event-stream")) {
    // A service that does not stream.
    answer.take(await textOf(response, maxBytes));
    return answer.finished();
  }
  let isDone = false;
  try {
    for await (const data of body ? dataOf(body) : []) {
      isDone = data.trim() === "[DONE]";
      if (isDone) break;
      answer.take(data);
    }
  } catch (cause) {
    if (cause instanceof SluiceError || isAbort(cause)) throw cause;
    throw cut(host, cause);
  }
  if (!isDone) throw cut(host);
  return answer.finished();
}

/** Puts the pieces of an answer together. */
function gathering(host: string) {
  let text = "";
  let reason: string | undefined;
  let tokens: Completion["tokens"];
  return {
    take(data: string): void {
      const { choices, usage, error } = parsed(data, host);
      if (error !== undefined && error !== null) throw broken(host, error);
      const [choice] = choices;
      text += choice?.delta?.content ?? choice?.message?.content ?? "";
      reason = choice?.finish_reason ?? reason;
      if (usage) tokens = { prompt: usage.prompt_tokens, completion: usage.completion_tokens };
      if (text.length > maxLength) throw nonsense(host, "more than anybody asked for");
    },
    finished(): Completion {
      if (reason === undefined) throw cut(host);
      if (reason === "content_filter")
        throw new PoisonError(`llm: ${host} filters the answer out.`, {
          code: "llm.filtered",
          fix: "Ask otherwise, or look at the passages: the service's rules forbid the answer.",
        });
      if (reason !== "stop" && reason !== "length")
        throw nonsense(host, `an answer that ends with ${JSON.stringify(reason.slice(0, 100))}`);
      if (text.trim() === "") throw nonsense(host, "an empty answer");
      return { text: text.trim(), isCut: reason === "length", ...(tokens && { tokens }) };
    },
  };
}

function parsed(data: string, host: string): z.output<typeof piece> {
  try {
    return piece.parse(JSON.parse(data));
  } catch (cause) {
    throw nonsense(host, "something else than chat completions", cause);
  }
}

/** The `data` of each server-sent event. */
async function* dataOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of body) {
    rest += decoder.decode(bytes, { stream: true });
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    if (rest.length > maxLength) throw new RangeError("a line without an end");
    for (const line of lines) if (line.startsWith("data:")) yield line.slice("data:".length);
  }
  // The last line may lack its end; a cut one is no JSON, or lacks what makes an answer whole.
  if (rest.trim() === "data: [DONE]") yield "[DONE]";
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && (error.name === "TimeoutError" || error.name === "AbortError");
}
