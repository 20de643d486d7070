import { PoisonError, RetryableError } from "sluice";
import { retryAfterOf } from "../../_shared/http/retry-after.ts";

/** An answer of the API, read whole. */
export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

const maxMessageLength = 500;

/** An answer that the same request may not get again: worth another attempt. */
export function isPassing(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

/** A namespace that does not exist holds nothing to delete. The index itself missing has no such body. */
export function isNothingToDelete(url: URL, { status, text }: Reply): boolean {
  return (
    status === 404 &&
    url.pathname.endsWith("/vectors/delete") &&
    parsed(text)?.code === 5 &&
    /namespace not found/i.test(text)
  );
}

/** What a passing refusal becomes when it did not pass. */
export function toRetryable({ status, text, headers }: Reply): RetryableError {
  const retryAfterMs = retryAfterOf(headers);
  const options = {
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    cause: new Error(text.slice(0, maxMessageLength)),
  };
  return status === 429
    ? new RetryableError(`pinecone: answers 429, too many requests: ${messageOf(text)}`, {
        code: "pinecone.throttled",
        reason: "throttled",
        fix: "Wait: it is retried. If it lasts, raise the limits of the project's plan.",
        ...options,
      })
    : new RetryableError(`pinecone: answers ${status}: ${messageOf(text)}`, {
        code: "pinecone.unreachable",
        reason: "unreachable",
        fix: "Wait: it is retried. If it lasts, look at https://status.pinecone.io.",
        ...options,
      });
}

/** What a lasting refusal means; the client's own errors hide the status. */
export function toError({ status, text }: Reply): PoisonError | RetryableError {
  const message = messageOf(text);
  switch (status) {
    case 401:
      return refused(`pinecone: refuses the API key: ${message}`, "pinecone.unauthorized", {
        fix: "Set apiKey to a key of the project that holds the index.",
      });
    case 402:
    case 403:
      return refused(`pinecone: answers ${status}: ${message}`, "pinecone.forbidden", {
        fix: "Check the project's plan, quota and the key's permissions in the Pinecone console.",
      });
    case 404:
      return refused(`pinecone: the index is missing: ${message}`, "pinecone.index-missing", {
        fix: 'Create the index, or set "create": true.',
      });
    case 400:
    case 412:
    case 413:
    case 414:
    case 422:
    case 431:
      return new PoisonError(`pinecone: refuses the request: ${message}`, {
        code: "pinecone.invalid",
        fix: "Correct the record that the message tells of, then replay the dead letter.",
      });
    default:
      return refused(`pinecone: answers ${status}: ${message}`, "pinecone.unexpected", {
        fix: "Check that url names a Pinecone-compatible server.",
      });
  }
}

function refused(message: string, code: string, { fix }: { fix: string }): RetryableError {
  return new RetryableError(message, { code, reason: "refused", fix });
}

interface Body {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly error?: { readonly message?: unknown } | undefined;
}

/** Data plane: `{ code, message }`. Control plane: `{ error: { code, message } }`. Others: a JSON string, HTML, nothing. */
function messageOf(text: string): string {
  const body = parsed(text);
  const message = body?.message ?? body?.error?.message ?? text;
  return (typeof message === "string" && message !== "" ? message : "no reason given").slice(
    0,
    maxMessageLength,
  );
}

function parsed(text: string): Body | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    // An error page of a proxy in between is no JSON: its text speaks for itself.
    return undefined;
  }
}
