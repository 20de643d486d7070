import { AsyncLocalStorage } from "node:async_hooks";
import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { FencedError, RetryableError, SluiceError, type Context, type Log } from "sluice";
import { adaptiveSlots, openBudgets, type Cost } from "./pace.ts";
import { isNothingToDelete, isPassing, toError, toRetryable, type Reply } from "./refusals.ts";

const firstDelayMs = 200;
const maxDelayMs = 30_000;
// The runner opens again after each failure, with the same log: once is enough.
const told = new WeakSet<Log>();
const lsnNames = {
  write: ["x-pinecone-request-lsn", "x-pinecone-lsn-committed"],
  read: ["x-pinecone-max-indexed-lsn", "x-pinecone-lsn-reconciled"],
};

export interface Requests {
  /** For the client's `fetchApi`; its own retries must be off. */
  readonly fetchApi: (url: string, init: RequestInit) => Promise<Response>;
  /**
   * Runs one call of the client: within the bounds of `how`, with the highest LSN its answers told, and
   * with our error instead of the client's, which hides the status.
   */
  readonly call: <T>(
    how: Call,
    work: () => Promise<T>,
  ) => Promise<{ readonly result: T; readonly lsn?: bigint }>;
}

export interface Call {
  readonly signal: AbortSignal;
  /** `performance.now()` after which no attempt may start; moves. */
  readonly deadline?: number;
  /** What each attempt takes of the budgets. */
  readonly costs?: readonly Cost[];
  /** Sent instead of what the client would send. */
  readonly body?: Buffer;
}

/** What `fetchApi` must know of the call it is made for: the client passes nothing through. */
interface Scope {
  readonly how: Call;
  lsn?: bigint | undefined;
}

const startConcurrent = 4;

/**
 * The HTTP behind the official client: retries what passes (408, 429, 5xx, broken connections, no
 * answer in `timeoutMs`) with full jitter, for `maxElapsedMs` at most, then leaves waiting to the
 * runner with a `RetryableError`.
 */
export function requests(options: {
  readonly timeoutMs: number;
  readonly maxElapsedMs?: number;
  readonly maxConcurrent?: number;
  readonly growEveryMs?: number;
  readonly log: Log;
  readonly meter: Context<unknown>["meter"];
}): Requests {
  const { timeoutMs, maxElapsedMs = 20_000, log, meter } = options;
  const { maxConcurrent: max = 16, growEveryMs = 10_000 } = options;
  const scopes = new AsyncLocalStorage<Scope>();
  const slots = adaptiveSlots({ start: startConcurrent, max, growEveryMs });
  const budgets = openBudgets();
  let isReached = false;

  async function fetchApi(address: string, init: RequestInit): Promise<Response> {
    const scope = scopes.getStore() ?? { how: { signal: new AbortController().signal } };
    const url = new URL(address);
    const { body = init.body } = scope.how;
    const reply = await persist(url, { ...init, ...(body && { body }) }, scope.how);
    scope.lsn = laterLsn(scope.lsn, lsnOf(url, reply.headers));
    if (isNothingToDelete(url, reply)) return new Response("{}", { status: 200 });
    // The client knows what to make of a conflict.
    if (reply.status >= 300 && reply.status !== 409) throw toError(reply);
    const { status, headers, text } = reply;
    return new Response(status === 204 ? null : text, { status, headers });
  }

  /** Repeats the request until its answer is no passing refusal. */
  async function persist(url: URL, init: RequestInit, how: Call): Promise<Reply> {
    const { signal, costs = [] } = how;
    const began = performance.now();
    for (let retries = 0; ; retries++) {
      signal.throwIfAborted();
      await budgets.spend(costs, signal);
      const reply = await slots.run(() => attempt(url, init, how));
      if (!(reply instanceof RetryableError)) isReached = true;
      else if (!isReached) tell(url, reply);
      if (!(reply instanceof RetryableError) && !isPassing(reply.status)) return reply;
      const error = reply instanceof RetryableError ? reply : toRetryable(reply);
      // They asked all of us to wait, not this request alone.
      if (error.retryAfterMs !== undefined) budgets.pause(costs, error.retryAfterMs);
      const waitMs = Math.max(
        Math.random() * Math.min(maxDelayMs, firstDelayMs * 2 ** retries),
        error.retryAfterMs ?? 0,
      );
      if (performance.now() - began + waitMs > maxElapsedMs) throw error;
      meter("requests_retried", 1, { code: error.code });
      log.debug({ code: error.code, retries, waitMs: Math.round(waitMs) }, "request retried");
      await sleep(waitMs, undefined, { signal });
    }
  }

  /** At the start, once: a single connection that breaks later is nothing to look at. */
  function tell(url: URL, { code, message }: RetryableError): void {
    if (told.has(log)) return;
    told.add(log);
    log.warn({ host: url.host, code, reason: message }, "no answer yet, trying again");
  }

  /** One request and its whole answer, or why there was none. */
  async function attempt(
    url: URL,
    init: RequestInit,
    { signal, deadline = Infinity }: Call,
  ): Promise<Reply | RetryableError> {
    signal.throwIfAborted();
    const startedAt = performance.now();
    if (startedAt >= deadline)
      throw new FencedError("pinecone: the lease ends before another attempt could finish.", {
        code: "pinecone.lease-ended",
      });
    const patience = new AbortController();
    const late = new Error(`no answer in ${timeoutMs} ms`);
    const timer = setTimeout(() => patience.abort(late), timeoutMs);
    meter("bytes_sent", bytesOf(init.body));
    try {
      const ended = AbortSignal.any([signal, patience.signal]);
      const response = await fetch(url, { ...init, signal: ended });
      if (response.status === 429) slots.slow(startedAt);
      return { status: response.status, headers: response.headers, text: await response.text() };
    } catch (error) {
      signal.throwIfAborted();
      return unreachable(url, patience.signal.aborted ? late : error);
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    fetchApi,
    call: async (how, work) => {
      const scope: Scope = { how };
      setMaxListeners(0, how.signal); // one a waiting request
      try {
        const result = await scopes.run(scope, work);
        return { result, ...(scope.lsn !== undefined && { lsn: scope.lsn }) };
      } catch (error) {
        how.signal.throwIfAborted();
        throw ownError(error);
      }
    },
  };
}

function unreachable(url: URL, cause: unknown): RetryableError {
  const { message, cause: inner } = cause as Error & { cause?: { code?: string } };
  return new RetryableError(`pinecone: ${url.host} does not answer: ${inner?.code ?? message}.`, {
    code: "pinecone.unreachable",
    reason: "unreachable",
    fix: "Check the network, and https://status.pinecone.io.",
    cause,
  });
}

function bytesOf(body: RequestInit["body"]): number {
  if (typeof body === "string") return Buffer.byteLength(body);
  return body instanceof Uint8Array ? body.byteLength : 0;
}

/** The client wraps what `fetchApi` throws, more than once. */
function ownError(error: unknown): unknown {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof SluiceError) return at;
  return error;
}

// Pinecone's documents once show a read's header on a write: each kind is believed by its own names only.
function lsnOf(url: URL, headers: Headers): bigint | undefined {
  const isWrite = /\/vectors\/(upsert|update|delete)$/.test(url.pathname);
  for (const name of lsnNames[isWrite ? "write" : "read"]) {
    const text = headers.get(name);
    if (text !== null && /^\d+$/.test(text)) return BigInt(text);
  }
  return undefined;
}

function laterLsn(a: bigint | undefined, b: bigint | undefined): bigint | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a > b ? a : b;
}
