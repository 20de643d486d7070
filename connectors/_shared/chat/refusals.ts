import { PoisonError, RetryableError, SluiceError } from "sluice";
import { retryAfterOf } from "../http/retry-after.ts";

const maxComplaint = 500;
/** Of a connection that was made: the request may have been read, and be what nobody gets over. */
const brokenOff = new Set([
  "ECONNRESET",
  "EPIPE",
  "UND_ERR_SOCKET",
  "UND_ERR_HEADERS_TIMEOUT",
  "UND_ERR_BODY_TIMEOUT",
]);
const ofMessages = new Set(["llm.rejected", "llm.cut", "llm.failed"]);
const refusedFix =
  "Check model, url (no redirect is followed), request and the account's rights and quota.";
/** Of what may be the question's fault. */
const givenUpFix =
  "Wait: it is asked again. If only this question gets no answer it becomes a dead letter: ask otherwise, or give it more time by `timeoutMs`.";

/** What other messages may be spared. */
export function isOfMessages(error: unknown): error is SluiceError {
  return error instanceof SluiceError && ofMessages.has(error.code);
}

/** The same of a service that answers nobody. */
export function ofAll({ message, code, cause }: SluiceError): RetryableError {
  const isRefusal = code === "llm.rejected";
  return new RetryableError(message, {
    code: isRefusal ? "llm.refused" : "llm.unreachable",
    reason: isRefusal ? "refused" : "unreachable",
    fix: isRefusal
      ? refusedFix
      : "Wait: it is asked again. Look at the model's service: it answers nothing at all.",
    cause,
  });
}

export function unfinished(host: string, timeoutMs: number, cause: unknown): SluiceError {
  return new SluiceError(`llm: no whole answer of ${host} in ${timeoutMs} ms.`, {
    code: "llm.cut",
    fix: givenUpFix,
    cause,
  });
}

/** The connection was not made, or did not last. */
export function lost(host: string, cause: unknown): SluiceError {
  const { message, cause: inner } = cause as Error & { cause?: { code?: string } };
  const why = inner?.code ?? message;
  if (cause instanceof RangeError || (inner?.code !== undefined && brokenOff.has(inner.code)))
    return new SluiceError(`llm: the answer of ${host} breaks off: ${why}.`, {
      code: "llm.cut",
      fix: givenUpFix,
      cause,
    });
  return new RetryableError(`llm: ${host} does not answer: ${why}.`, {
    code: "llm.unreachable",
    reason: "unreachable",
    fix: "Check the network, the url of the model's service, and that it runs.",
    cause,
  });
}

export function judged({ status, headers }: Response, text: string, host: string): SluiceError {
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
  if (status >= 500 && (status !== 503 || retryAfterMs === undefined))
    return new SluiceError(`llm: ${host} answers ${status}: ${message}`, {
      code: "llm.failed",
      fix: givenUpFix,
    });
  if ([408, 409, 425, 503].includes(status))
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
    fix: status === 401 ? "Set apiKey to a valid key." : refusedFix,
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

export function cut(host: string, cause?: unknown): SluiceError {
  return new SluiceError(`llm: the answer of ${host} breaks off.`, {
    code: "llm.cut",
    fix: givenUpFix,
    cause,
  });
}

export function broken(host: string, error: unknown): SluiceError {
  const said = JSON.stringify(error)?.slice(0, 500) ?? "";
  return new SluiceError(`llm: ${host} breaks its answer off: ${said}`, {
    code: "llm.cut",
    fix: givenUpFix,
  });
}

export function nonsense(host: string, what: string, cause?: unknown): SluiceError {
  return new SluiceError(`llm: ${host} answers ${what}.`, {
    code: "llm.bad-answer",
    fix: "Check that url and model name an OpenAI-compatible chat service.",
    cause,
  });
}
