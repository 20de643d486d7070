import type { Readable } from "node:stream";
import type { Bucket } from "./bucket.ts";
import type { Failures } from "./memory/failures.ts";
import type { Memory } from "./memory/memory.ts";

/** An answer holds for so long: many ask at once. */
const validMs = 5_000;
const maxTries = 3;

/** Whether an object that was read before, and does not fail, can be read now: then others fail by themselves. */
export function witness(run: {
  readonly bucket: Pick<Bucket, "get">;
  readonly memory: Pick<Memory, "behind">;
  readonly failures: Pick<Failures, "has">;
  readonly signal: AbortSignal;
}): () => Promise<boolean> {
  const { bucket, memory, failures, signal } = run;
  let answer = Promise.resolve(false);
  let askedAt = -Infinity;

  const ask = async () => {
    let tries = 0;
    for await (const { key } of memory.behind("")) {
      if (failures.has(key)) continue;
      try {
        const { Body } = await bucket.get(key, { signal });
        (Body as unknown as Readable).destroy(); // on Node the SDK answers with one
        return true;
      } catch {
        // It says nothing of the others: it may be gone by now.
        signal.throwIfAborted();
        if (++tries === maxTries) return false;
      }
    }
    return false;
  };
  return () => {
    if (performance.now() - askedAt > validMs) {
      askedAt = performance.now();
      answer = ask();
    }
    return answer;
  };
}
