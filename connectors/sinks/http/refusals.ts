import { PoisonError, RetryableError } from "sluice";
import { retryAfterOf } from "../../_shared/http/retry-after.ts";

/** What is left of an answer: enough to say why. */
export interface Answer {
  readonly host: string;
  readonly status: number;
  readonly headers: Headers;
  /** The beginning of its body, without our secrets. */
  readonly said: string;
}

/** Wrong for every event alike: somebody must look at the config, or at the receiver. */
const needPerson = new Set([401, 402, 403, 404, 405, 407, 410, 421, 426, 451, 511]);
const passing = new Set([408, 425]);

/** Undefined for a success; else what the runner should do about it. */
export function errorOf(answer: Answer): RetryableError | PoisonError | undefined {
  const { status, host } = answer;
  if (status >= 200 && status < 300) return undefined;
  const what = `http: ${host} answers ${status}: ${wordsOf(answer.said)}`;
  const retryAfterMs = retryAfterOf(answer.headers);
  const later = retryAfterMs !== undefined && { retryAfterMs };
  if (status === 429 || (status === 503 && later))
    return new RetryableError(what, {
      code: "http.throttled",
      reason: "throttled",
      fix: "Wait: it is retried. If it lasts, let the receiver take more.",
      ...later,
    });
  if (needPerson.has(status))
    return new RetryableError(what, {
      code: "http.refused",
      reason: "refused",
      fix: "Correct `url` or `headers`, or what the receiver permits.",
    });
  if (passing.has(status) || status >= 500)
    return new RetryableError(what, {
      code: "http.unreachable",
      reason: "unreachable",
      fix: "Wait: it is retried. If it lasts, look at the receiver.",
      ...later,
    });
  if (status >= 400)
    return new PoisonError(what, {
      code: "http.rejected",
      fix: "Correct what the receiver complains of, then replay the dead letter.",
    });
  return new RetryableError(what, {
    code: "http.unexpected",
    reason: "refused",
    fix: "Set `url` to what answers a POST with 2xx.",
  });
}

export function redirected(host: string, status: number, why: string): RetryableError {
  return new RetryableError(`http: ${host} redirects (${status}) ${why}, which is not followed.`, {
    code: "http.redirect",
    reason: "refused",
    fix: "Set `url` to where the events shall go in the end, if that is meant.",
  });
}

export function unreachable(host: string, cause: unknown, timeoutSeconds: number): RetryableError {
  const { name, message, cause: inner } = cause as Error & { cause?: { code?: string } };
  const why =
    name === "TimeoutError" ? `no answer in ${timeoutSeconds} s` : (inner?.code ?? message);
  return new RetryableError(`http: ${host} does not answer: ${why}.`, {
    code: "http.unreachable",
    reason: "unreachable",
    fix: "Check the network, `url`, and that the receiver runs.",
    cause,
  });
}

const maxWords = 300;

/** `detail` of a problem (RFC 9457), the usual names of a message, or the text as it is. */
function wordsOf(said: string): string {
  let words: unknown = said;
  try {
    const body = JSON.parse(said) as { readonly [key: string]: unknown } | null;
    words = body?.["detail"] ?? body?.["message"] ?? body?.["error"] ?? said;
  } catch {
    // An error page, or cut off: its text speaks for itself.
  }
  const text = typeof words === "string" ? words : said;
  return text.trim() === "" ? "no reason given" : text.trim().slice(0, maxWords);
}
