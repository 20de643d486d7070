import { PoisonError, RetryableError, SluiceError, SuspectError, z, type Context } from "sluice";
import { textOf } from "../http/text-of.ts";
import { readCompletion, type Completion } from "./completion.ts";
import { isOfMessages, judged, lost, ofAll, unfinished } from "./refusals.ts";

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
   * One answer, whole or not at all. Throws `PoisonError` for messages that the model will never take; `SuspectError` for
   * what may be the messages' fault, since the model answers others; `RetryableError` for what is not.
   */
  readonly ask: (
    messages: readonly Message[],
    run: { readonly signal: AbortSignal },
  ) => Promise<Completion>;
}

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

  async function answerTo(
    body: string,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<Completion> {
    const patience = AbortSignal.timeout(timeoutMs);
    let refusal: Response;
    let text: string;
    try {
      const both = AbortSignal.any([signal, patience]);
      refusal = await fetch(address, {
        method: "POST",
        headers,
        body,
        signal: both,
        // The passages in it, and the key, are for the service that `url` names.
        redirect: "manual",
      });
      if (refusal.ok) return await readCompletion(refusal, host);
      text = await textOf(refusal, maxRefusalBytes);
    } catch (cause) {
      signal.throwIfAborted();
      if (cause instanceof SluiceError) throw cause;
      throw patience.aborted ? unfinished(host, timeoutMs, cause) : lost(host, cause);
    }
    throw judged(refusal, text, host);
  }

  return {
    async ask(messages, run) {
      let completion: Completion;
      try {
        completion = await answerTo(bodyOf(messages, maxAnswerTokens), run);
      } catch (error) {
        run.signal.throwIfAborted();
        if (!isOfMessages(error)) throw error;
        // Is it these messages, or would any fail?
        const small = bodyOf([{ role: "user", content: "ok" }], 1);
        await answerTo(small, run).catch((other: unknown) => {
          run.signal.throwIfAborted();
          if (isOfMessages(other)) throw ofAll(other);
          if (other instanceof RetryableError) throw other;
          // Whatever it answers, it does answer.
        });
        if (error instanceof PoisonError) throw error;
        const { message, code, fix, cause } = error;
        throw new SuspectError(message, { code, ...(fix !== undefined && { fix }), cause });
      }
      const { tokens } = completion;
      if (tokens) meter("llm_tokens", tokens.prompt + tokens.completion);
      return completion;
    },
  };
}
