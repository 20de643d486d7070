import { RetryableError, type SluiceEvent } from "sluice";
import type { Options } from "./config.ts";
import { encode } from "./encode.ts";
import { errorOf, redirected, unreachable, type Answer } from "./refusals.ts";
import { keyOf, signature, webhookId } from "./sign.ts";

/** Sends events in one request. Throws `RetryableError` or `PoisonError`. */
export type Post = (
  events: readonly SluiceEvent[],
  run: { readonly signal: AbortSignal },
) => Promise<void>;

const maxRedirects = 3;
/** What is read of an answer, and how long: the status says all that counts. */
const maxAnswerBytes = 4_096;
const maxAnswerMs = 2_000;
const leastSecretLength = 4;

export function poster(config: Options): Post {
  const { url, mode, timeoutSeconds } = config;
  const key = config.secret === undefined ? undefined : keyOf(config.secret);
  const { host } = new URL(url);
  const hide = hider(config);

  async function answerTo(init: RequestInit): Promise<Answer> {
    let to = url;
    for (let redirects = 0; ; redirects++) {
      const response = await fetch(to, { ...init, method: "POST", redirect: "manual" });
      const { status, headers } = response;
      const said = hide(await beginningOf(response));
      if (status < 300 || status >= 400) return { host, status, headers, said };
      const next = followed(to, status, headers.get("location"));
      if (typeof next === "string") throw redirected(host, status, next);
      if (redirects === maxRedirects)
        throw redirected(host, status, `more than ${maxRedirects} times`);
      to = next.href;
    }
  }

  return async (events, { signal }) => {
    const { headers, body } = encode(events, mode);
    const id = webhookId(events);
    const timestamp = Math.floor(Date.now() / 1_000);
    let answer: Answer;
    try {
      answer = await answerTo({
        headers: {
          "user-agent": "sluice",
          ...config.headers,
          ...headers,
          "webhook-id": id,
          "webhook-timestamp": String(timestamp),
          ...(key && { "webhook-signature": signature(key, { id, timestamp, body }) }),
        },
        body,
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutSeconds * 1_000)]),
      });
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof RetryableError ? error : unreachable(host, error, timeoutSeconds);
    }
    const error = errorOf(answer);
    if (error) throw error;
  };
}

/** Where to go on, or why not. Our headers and data go to no other place than the one `url` names. */
function followed(from: string, status: number, location: string | null): URL | string {
  if (location === null || !URL.canParse(location, from)) return "to nowhere";
  const next = new URL(location, from);
  if (next.origin !== new URL(from).origin) return `to another origin, ${next.origin}`;
  return status === 307 || status === 308 ? next : "in a way that drops the event";
}

/** The rest is not read: an answer may be endless, or never end. */
async function beginningOf({ body }: Response): Promise<string> {
  if (!body) return "";
  const reader = body.getReader();
  const leave = () => void reader.cancel().catch(() => {}); // it broke off: nothing is left to leave
  const timer = setTimeout(leave, maxAnswerMs);
  const parts: Uint8Array[] = [];
  let bytes = 0;
  try {
    while (bytes < maxAnswerBytes) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value.subarray(0, maxAnswerBytes - bytes));
      bytes += value.length;
    }
  } catch {
    // Broken off: the status was there, and it counts.
  } finally {
    clearTimeout(timer);
    leave();
  }
  return Buffer.concat(parts).toString();
}

/** Takes out of a text what a receiver may have echoed (Invariant 11). */
function hider({ url, headers, secret = "" }: Options): (text: string) => string {
  const { pathname, search } = new URL(url);
  const words = [...Object.values(headers), secret, url, pathname + search]
    .flatMap((text) => [text, ...text.split(/\s+/)])
    .filter((text) => text.length >= leastSecretLength)
    .toSorted((a, b) => b.length - a.length);
  return (text) => words.reduce((left, word) => left.replaceAll(word, "***"), text);
}
