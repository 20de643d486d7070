/**
 * A bounded hand-over between something that pushes and something that pulls: `send` waits while
 * `capacity` values are unread. `close` ends the iteration after the values already sent; with an
 * error, by throwing it. One reader.
 */
export function channel<T>(capacity: number): Channel<T> {
  const values: T[] = [];
  const readers: (() => void)[] = [];
  const senders: (() => void)[] = [];
  let closed: { error?: unknown } | undefined;

  return {
    send: async (value, { signal }) => {
      while (values.length >= capacity && !closed) await turn(senders, signal);
      signal.throwIfAborted();
      if (closed) throw new Error("channel: closed.", { cause: closed.error });
      values.push(value);
      wake(readers);
    },
    close: (error) => {
      closed ??= error === undefined ? {} : { error };
      wake(readers);
      wake(senders);
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        while (values.length === 0) {
          if (closed?.error !== undefined) throw closed.error;
          if (closed) return;
          await turn(readers);
        }
        const value = values.shift() as T; // not empty, checked above
        wake(senders);
        yield value;
      }
    },
  };
}

/** What `channel` makes. `send` rejects on abort and, with the error given to `close` as its cause, once it is closed. */
export interface Channel<T> extends AsyncIterable<T> {
  readonly send: (value: T, run: { readonly signal: AbortSignal }) => Promise<void>;
  readonly close: (error?: unknown) => void;
}

/** Resolves at the next `wake` of the list, rejects on abort. */
function turn(waiting: (() => void)[], signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error);
    const abort = () => reject(signal?.reason as Error);
    signal?.addEventListener("abort", abort, { once: true });
    waiting.push(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    });
  });
}

function wake(waiting: (() => void)[]): void {
  for (const resume of waiting.splice(0)) resume();
}
