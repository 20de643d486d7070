import { FencedError, type WriteRun } from "sluice";

/** Called before each request: after the deadline another worker may own these documents. */
export function checkLease(run: Pick<WriteRun, "deadline" | "signal">): void {
  run.signal.throwIfAborted();
  if (performance.now() < run.deadline) return;
  throw new FencedError("vectors: the lease ends before another request could finish.", {
    code: "vectors.lease-ended",
  });
}
