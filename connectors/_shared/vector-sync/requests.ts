import { FencedError, type StoreRun, type WriteRun } from "sluice";

/** Within what bounds requests may start. */
export type Bounds = Pick<WriteRun, "deadline" | "signal">;

/** What a store needs of a run; the deadline is read anew before each request. */
export function storeRun(run: Bounds, namespace: string): StoreRun {
  return {
    namespace,
    signal: run.signal,
    get deadline() {
      return run.deadline;
    },
  };
}

/** Called before each request: after the deadline another worker may own these documents. */
export function checkLease(run: Bounds): void {
  run.signal.throwIfAborted();
  if (performance.now() < run.deadline) return;
  throw new FencedError("vectors: the lease ends before another request could finish.", {
    code: "vectors.lease-ended",
  });
}

/** Waits for works that run at once, failed ones too: nothing goes on behind the caller's back. Throws the first failure. */
export async function together(works: readonly Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(works);
  for (const result of results) if (result.status === "rejected") throw result.reason;
}
