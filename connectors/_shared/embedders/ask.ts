import { setTimeout as sleep } from "node:timers/promises";
import { RetryableError, type Context } from "sluice";
import { retryAfterOf } from "../http/retry-after.ts";
import { textOf } from "../http/text-of.ts";

/** An answer that is neither success nor worth another attempt. */
export interface Refusal {
  readonly status: number;
  readonly message: string;
  /** The service's own word for it, where it has one. */
  readonly code: string | undefined;
}

/** A service that is asked by POST with JSON and answers JSON. */
export interface Service {
  /** Resolves to the body of a success, or to why it was refused. Throws `RetryableError` when waiting did not help. */
  readonly ask: (
    body: object,
    run: { readonly signal: AbortSignal },
  ) => Promise<{ readonly body: unknown } | { readonly refusal: Refusal }>;
}

const firstDelayMs = 250;
const maxDelayMs = 20_000;
/** Longer waits are the runner's: it shows them. */
const maxElapsedMs = 30_000;
const maxMessageLength = 500;
/** 2,000 vectors of 3,072 numbers, written out. */
const maxAnswerBytes = 128 * 2 ** 20;

export function openService(options: {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Milliseconds an attempt may take. */
  readonly timeoutMs: number;
  readonly log: Context<unknown>["log"];
  readonly meter: Context<unknown>["meter"];
}): Service {
  const { url, headers, timeoutMs, log, meter } = options;
  const { host } = new URL(url);
  /** One 429 slows all requests: the limit is the account's. */
  let notBefore = 0;

  async function attempt(body: string, signal: AbortSignal): Promise<Response | RetryableError> {
    try {
      const patience = AbortSignal.timeout(timeoutMs);
      const response = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body,
        signal: AbortSignal.any([signal, patience]),
        // The texts in it, and the key, are for the service that `url` names.
        redirect: "manual",
      });
      // Read here: a body may break off or hang as well.
      const text = await textOf(response, maxAnswerBytes);
      return new Response(text, { status: response.status, headers: response.headers });
    } catch (cause) {
      signal.throwIfAborted();
      const { name, message, cause: inner } = cause as Error & { cause?: { code?: string } };
      const why =
        name === "TimeoutError" ? `no answer in ${timeoutMs} ms` : (inner?.code ?? message);
      return new RetryableError(`embed: ${host} does not answer: ${why}.`, {
        code: "embed.unreachable",
        reason: "unreachable",
        fix: "Check the network, the url of the embedding service, and that it runs.",
        cause,
      });
    }
  }

  return {
    async ask(body, { signal }) {
      const text = JSON.stringify(body);
      const began = performance.now();
      for (let retries = 0; ; retries++) {
        const heldMs = notBefore - performance.now();
        if (heldMs > 0) await sleep(heldMs, undefined, { signal });
        signal.throwIfAborted();
        const answer = await attempt(text, signal);
        if (answer instanceof Response && !isPassing(answer.status)) return await read(answer);
        const error = answer instanceof Response ? await toRetryable(answer, host) : answer;
        if (error.reason === "refused") throw error;
        if (error.retryAfterMs !== undefined) notBefore = performance.now() + error.retryAfterMs;
        const waitMs = Math.max(
          Math.random() * Math.min(maxDelayMs, firstDelayMs * 2 ** retries),
          error.retryAfterMs ?? 0,
        );
        if (performance.now() - began + waitMs > maxElapsedMs) throw error;
        meter("embed_retries", 1, { code: error.code });
        log.debug(
          { host, code: error.code, retries, waitMs: Math.round(waitMs) },
          "embedding retried",
        );
        await sleep(waitMs, undefined, { signal });
      }
    },
  };

  async function read(answer: Response) {
    const text = await answer.text();
    const body = parsed(text);
    if (answer.ok && body !== undefined) return { body };
    const { message, code } = complaintOf(text);
    const said = answer.ok ? "answers something that is no JSON" : message;
    return { refusal: { status: answer.status, message: said, code } };
  }
}

function isPassing(status: number): boolean {
  return status === 408 || status === 409 || status === 425 || status === 429 || status >= 500;
}

async function toRetryable(answer: Response, host: string): Promise<RetryableError> {
  const { status, headers } = answer;
  const { message, code } = complaintOf(await answer.text());
  const retryAfterMs = retryAfterOf(headers);
  const later = retryAfterMs !== undefined && { retryAfterMs };
  // A 429 that no waiting ends: the money is used up.
  if (code === "insufficient_quota")
    return new RetryableError(`embed: ${host} refuses: ${message}`, {
      code: "embed.refused",
      reason: "refused",
      fix: "Raise the quota of the embedding account.",
    });
  return status === 429
    ? new RetryableError(`embed: ${host} answers 429, too many requests: ${message}`, {
        code: "embed.throttled",
        reason: "throttled",
        fix: "Wait: it is retried. If it lasts, raise the limits of the embedding account.",
        ...later,
      })
    : new RetryableError(`embed: ${host} answers ${status}: ${message}`, {
        code: "embed.unreachable",
        reason: "unreachable",
        fix: "Wait: it is retried. If it lasts, look at the embedding service.",
        ...later,
      });
}

/** OpenAI: `{ error: { message, code } }`. Pinecone: the same, or `{ code, message }`. Others: `{ error: text }`, plain text. */
function complaintOf(text: string): {
  readonly message: string;
  readonly code: string | undefined;
} {
  const body = parsed(text) as
    | { readonly error?: unknown; readonly message?: unknown; readonly code?: unknown }
    | undefined;
  const inner = body?.error ?? body;
  const { message = inner, code } =
    typeof inner === "object" && inner !== null
      ? (inner as { readonly message?: unknown; readonly code?: unknown })
      : { message: inner };
  const said = typeof message === "string" && message !== "" ? message : text;
  return {
    message: said === "" ? "no reason given" : said.slice(0, maxMessageLength),
    code: typeof code === "string" ? code : undefined,
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // An error page of a proxy in between: its text speaks for itself.
    return undefined;
  }
}
