import { Worker } from "node:worker_threads";
import { damaged, tooLarge, tooSlow } from "./refusals.ts";
import { PoisonError } from "sluice";

export interface Limits {
  readonly maxPages: number;
  readonly maxInflatedBytes: number;
}

export interface Task {
  readonly kind: "pdf" | "docx";
  readonly bytes: Uint8Array;
  readonly limits: Limits;
}

export type Answer =
  | { readonly kind: "pdf"; readonly pages: readonly string[]; readonly title: string | undefined }
  | { readonly kind: "docx"; readonly html: string }
  | { readonly kind: "too-large"; readonly what: string; readonly option: keyof Limits }
  | { readonly kind: "damaged"; readonly why: string };

/** Memory of the thread; a file that needs more is not to be read. */
const maxHeapMb = 512;

/**
 * A thread that reads PDF and DOCX files, one at a time: what the libraries for them do cannot be
 * interrupted, but a thread can be ended. Started at first use, and anew after it was ended.
 */
export interface OfficeThread {
  readonly read: (
    task: Omit<Task, "limits">,
    run: { readonly address: string; readonly signal: AbortSignal },
  ) => Promise<Extract<Answer, { kind: "pdf" | "docx" }>>;
  /** May be called twice. */
  readonly close: () => Promise<void>;
}

export function openOfficeThread(options: Limits & { readonly timeoutMs: number }): OfficeThread {
  const { maxPages, maxInflatedBytes, timeoutMs } = options;
  let worker: Worker | undefined;
  let last: Promise<unknown> = Promise.resolve();

  const end = async () => {
    const ending = worker;
    worker = undefined;
    await ending?.terminate();
  };

  const ask = async (task: Task, signal: AbortSignal): Promise<Answer | "slow" | "died"> => {
    signal.throwIfAborted();
    const resourceLimits = { maxOldGenerationSizeMb: maxHeapMb };
    // Its warnings are about files, and belong to no log.
    const asked = (worker ??= new Worker(new URL("./office-worker.js", import.meta.url), {
      resourceLimits,
      stdout: true,
      stderr: true,
    }));
    asked.ref();
    let stop = () => {};
    const answered = new Promise<Answer | "slow" | "died">((resolve) => {
      const timer = setTimeout(() => resolve("slow"), timeoutMs);
      const abort = () => resolve("slow");
      const died = () => resolve("died");
      asked.once("message", resolve);
      asked.once("error", died);
      asked.once("exit", died);
      signal.addEventListener("abort", abort, { once: true });
      stop = () => {
        clearTimeout(timer);
        for (const name of ["error", "exit"]) asked.off(name, died);
        asked.off("message", resolve);
        signal.removeEventListener("abort", abort);
        asked.unref();
      };
    });
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    asked.postMessage(task);
    try {
      const answer = await answered;
      if (typeof answer === "string") {
        asked.on("error", () => {}); // it is being ended
        await end();
      }
      signal.throwIfAborted();
      return answer;
    } finally {
      stop();
    }
  };

  return {
    read: async (task, { address, signal }) => {
      const turn = last.then(() =>
        ask({ ...task, limits: { maxPages, maxInflatedBytes } }, signal),
      );
      last = turn.catch(() => {}); // told to this call's caller; the next one goes on
      const answer = await turn;
      if (answer === "slow") throw tooSlow(address, timeoutMs);
      if (answer === "died")
        throw new PoisonError(`parse: "${address}" takes more than ${maxHeapMb} MB to read.`, {
          code: "parse.too-large",
          fix: "Exclude the file in the source, or split it.",
        });
      switch (answer.kind) {
        case "too-large":
          throw tooLarge(address, answer.what, answer.option);
        case "damaged":
          throw damaged(address, answer.why);
        case "pdf":
        case "docx":
          return answer;
      }
    },
    close: end,
  };
}
