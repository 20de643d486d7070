import { PoisonError, RetryableError, SluiceError, z, type Context } from "sluice";
import { retryAfterOf } from "../http/retry-after.ts";
import { textOf } from "../http/text-of.ts";
import { readCompletion, type Completion } from "./completion.ts";

/** The options of everything that asks a language model. */
export const chatOptions = {
  model: z.string().min(1).describe("Name of the model, as the service knows it."),
  url: z
    .url({ protocol: /^https?$/ })
    .default("https://api.openai.com/v1")
    .describe(
      "Base of the API, up to and without `/chat/completions`: OpenAI, Ollama, vLLM, a proxy.",
    ),
  apiKey: z.string().min(1).optional().meta({ secret: true }).describe("Key, where one is needed."),
  temperature: z
    .number()
    .min(0)
    .max(2)
    .default(0)
    .describe("How freely the model chooses its words."),
  maxAnswerTokens: z
    .number()
    .int()
    .min(1)
    .max(1_000_000)
    .default(1_024)
    .describe("Most tokens of an answer. One that is cut there says so."),
  request: z
    .record(z.string(), z.json())
    .default({})
    .describe(
      'Further fields of the request, and null for those a service does not take: `{ "max_tokens": null, "max_completion_tokens": 500 }`.',
    ),
  timeoutMs: z
    .number()
    .int()
    .min(100)
    .max(3_600_000)
    .default(60_000)
    .describe("Milliseconds an answer may take, to its last word."),
};

type Options = { readonly [K in keyof typeof chatOptions]: z.output<(typeof chatOptions)[K]> };
type ChatConfig = Omit<Options, "apiKey"> & Partial<Pick<Options, "apiKey">>;

export interface Message {
  readonly role: "system" | "user";
  readonly content: string;
}

export interface Chat {
  /**
   * One answer, whole or not at all: one that breaks off is a `RetryableError`. Throws `PoisonError` for messages that
   * the model will never take.
   */
  readonly ask: (
    messages: readonly Message[],
    run: { readonly signal: AbortSignal },
  ) => Promise<Completion>;
}

const maxComplaint = 500;
const maxRefusalBytes = 2 ** 20;

/** An OpenAI-compatible `/chat/completions`. It does not retry: the runner does, and shows it. */
export function openChat(config: ChatConfig, { meter }: Pick<Context<unknown>, "meter">): Chat {
  const { model, url, apiKey, temperature, maxAnswerTokens, timeoutMs } = config;
  const { host } = new URL(url);
  const address = `${url.replace(/\/+$/, "")}/chat/completions`;
  const headers = {
    "content-type": "application/json",
    accept: "text/event-stream, application/json",
    ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
  };

  function bodyOf(messages: readonly Message[], maxTokens: number): string {
    const fields = {
      model,
      messages,
      temperature,
      max_tokens: maxTokens,
      stream: true,
      stream_options: { include_usage: true },
      ...config.request,
    };
    return JSON.stringify(fields, (_, value: unknown) => (value === null ? undefined : value));
  }

  async function send(body: string, { signal }: { readonly signal: AbortSignal }) {
    const patience = AbortSignal.timeout(timeoutMs);
    try {
      const both = AbortSignal.any([signal, patience]);
      const response = await fetch(address, {
        method: "POST",
        headers,
        body,
        signal: both,
        // The passages in it, and the key, are for the service that `url` names.
        redirect: "manual",
      });
      if (response.ok) return { completion: await readCompletion(response, host) };
      return { refusal: response, text: await textOf(response, maxRefusalBytes) };
    } catch (cause) {
      signal.throwIfAborted();
      if (cause instanceof SluiceError) throw cause;
      const { message, cause: inner } = cause as Error & { cause?: { code?: string } };
      const why = patience.aborted
        ? `no whole answer in ${timeoutMs} ms`
        : (inner?.code ?? message);
      throw new RetryableError(`llm: ${host} does not answer: ${why}.`, {
        code: "llm.unreachable",
        reason: "unreachable",
        fix: "Check the network, the url of the model's service, and that it runs.",
        cause,
      });
    }
  }

  return {
    async ask(messages, run) {
      const answer = await send(bodyOf(messages, maxAnswerTokens), run);
      if ("completion" in answer) {
        const { tokens } = answer.completion;
        if (tokens) meter("llm_tokens", tokens.prompt + tokens.completion);
        return answer.completion;
      }
      const error = judged(answer.refusal, answer.text, host);
      if (!(error instanceof PoisonError)) throw error;
      // Is it these messages, or would any be refused?
      const probe = await send(bodyOf([{ role: "user", content: "ok" }], 1), run);
      throw "completion" in probe ? error : refused(probe.refusal.status, probe.text, host);
    },
  };
}

function judged({ status, headers }: Response, text: string, host: string): SluiceError {
  const { message, code } = complaintOf(text);
  const retryAfterMs = retryAfterOf(headers);
  const later = retryAfterMs === undefined ? {} : { retryAfterMs };
  if ([400, 413, 422].includes(status))
    return new PoisonError(`llm: ${host} refuses the prompt: ${message}`, {
      code: "llm.rejected",
      fix: "Lower maxTokens of `prompt`, or ask otherwise; then replay the dead letter.",
    });
  // A 429 that no waiting ends: the money is used up.
  if (status === 429 && code !== "insufficient_quota")
    return new RetryableError(`llm: ${host} answers 429, too many requests: ${message}`, {
      code: "llm.throttled",
      reason: "throttled",
      fix: "Wait: it is retried. If it lasts, raise the limits of the account.",
      ...later,
    });
  if ([408, 409, 425].includes(status) || status >= 500)
    return new RetryableError(`llm: ${host} answers ${status}: ${message}`, {
      code: "llm.unreachable",
      reason: "unreachable",
      fix: "Wait: it is retried. If it lasts, look at the model's service.",
      ...later,
    });
  return refused(status, text, host);
}

function refused(status: number, text: string, host: string): RetryableError {
  return new RetryableError(`llm: ${host} refuses with ${status}: ${complaintOf(text).message}`, {
    code: status === 401 ? "llm.unauthorized" : "llm.refused",
    reason: "refused",
    fix:
      status === 401
        ? "Set apiKey to a valid key."
        : "Check model, url (no redirect is followed), request and the account's rights and quota.",
  });
}

/** `{ error: { message, code } }`, `{ error: text }`, or a text. */
function complaintOf(text: string): { readonly message: string; readonly code?: unknown } {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    // An error page of a proxy in between: its text speaks for itself.
  }
  const { error } = (body ?? {}) as { readonly error?: unknown };
  const inner = (typeof error === "object" && error !== null ? error : { message: error }) as {
    readonly message?: unknown;
    readonly code?: unknown;
  };
  const said = typeof inner.message === "string" ? inner.message : text;
  return { message: said.slice(0, maxComplaint) || "no reason given", code: inner.code };
}
