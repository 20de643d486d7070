import { Worker } from "node:worker_threads";
import { SluiceError, type Log } from "sluice";

/** What the worker says about one text. */
export type Answer = { readonly vector: Float32Array } | { readonly error: string };

/** A worker thread with the model: started at first use, replaced when it dies. */
export interface MiniLmThread {
  /** Questions overtake passages: someone is waiting for them. */
  readonly embed: (
    texts: readonly string[],
    run: { readonly input: "passage" | "query"; readonly signal: AbortSignal },
  ) => Promise<readonly Float32Array[]>;
  /** Ends the thread; what still waits is rejected. */
  readonly close: () => Promise<void>;
}

interface Request {
  readonly texts: readonly string[];
  readonly vectors: Float32Array[];
  /** How many texts went to the worker. */
  sent: number;
  readonly resolve: (vectors: readonly Float32Array[]) => void;
  readonly reject: (reason: unknown) => void;
}

/** Texts in the worker at once: the one it works on, and the next, so that it never waits for a busy main thread. */
const maxInWorker = 2;

export function openThread(log: Log): MiniLmThread {
  const queries: Request[] = [];
  const passages: Request[] = [];
  let inWorker: Request[] = [];
  let worker: Worker | undefined;
  let closed = false;

  // Text by text, because the engine gains nothing from batches: a question waits for two texts at
  // most, and an aborted request costs no more than those it already sent.
  function feed(): void {
    while (inWorker.length < maxInWorker) {
      const queue = queries.length > 0 ? queries : passages;
      const request = queue[0];
      const text = request?.texts[request.sent];
      if (request === undefined || text === undefined) return;
      request.sent++;
      if (request.sent === request.texts.length) queue.shift();
      inWorker.push(request);
      worker ??= start();
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      worker.postMessage(text);
    }
  }

  function start(): Worker {
    const started = new Worker(new URL("./minilm-worker.js", import.meta.url));
    let cause: unknown;
    started.on("message", (answer: Answer) => {
      const request = inWorker.shift();
      if (request !== undefined) take(request, answer);
      feed();
    });
    started.on("error", (error) => (cause = error));
    started.on("exit", (exitCode) => {
      if (worker !== started) return;
      worker = undefined;
      log.warn({ exitCode, cause: String(cause) }, "embedding thread died; it starts again");
      const lost = inWorker;
      inWorker = [];
      for (const request of lost)
        fail(
          request,
          // Not retryable for ever: a text that kills the thread must end up as a dead letter.
          new SluiceError("embed: the thread of the local model died.", {
            code: "embed.thread-died",
            fix: "If it happens again, give the process more memory: the model needs about 250 MB.",
            cause,
          }),
        );
      feed();
    });
    return started;
  }

  function take(request: Request, answer: Answer): void {
    if ("error" in answer)
      return fail(
        request,
        new SluiceError("embed: the local model failed on a text.", {
          code: "embed.failed",
          cause: answer.error,
        }),
      );
    request.vectors.push(answer.vector);
    if (request.vectors.length === request.texts.length) request.resolve(request.vectors);
  }

  function fail(request: Request, reason: unknown): void {
    for (const queue of [queries, passages]) {
      const at = queue.indexOf(request);
      if (at >= 0) queue.splice(at, 1);
    }
    request.reject(reason);
  }

  return {
    embed: async (texts, { input, signal }) => {
      signal.throwIfAborted();
      if (closed) throw closedError();
      if (texts.length === 0) return [];
      let onAbort = () => {};
      try {
        return await new Promise((resolve, reject) => {
          const request: Request = { texts, vectors: [], sent: 0, resolve, reject };
          onAbort = () => fail(request, signal.reason);
          signal.addEventListener("abort", onAbort, { once: true });
          (input === "query" ? queries : passages).push(request);
          feed();
        });
      } finally {
        signal.removeEventListener("abort", onAbort);
      }
    },
    close: async () => {
      closed = true;
      const ending = worker;
      worker = undefined;
      for (const request of [...inWorker, ...queries, ...passages]) fail(request, closedError());
      inWorker = [];
      await ending?.terminate();
    },
  };
}

function closedError(): SluiceError {
  return new SluiceError("embed: the embedder is closed.", { code: "embed.closed" });
}
