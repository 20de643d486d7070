import type { ChildBatch } from "../conformance-child.ts";
import { nOf } from "./events.ts";

export interface Seen {
  readonly key: string;
  readonly n: number;
  readonly at: number;
}

export interface Batch extends ChildBatch {
  readonly at: number;
}

/** What one consumer was handed. */
export function recorder() {
  const batches: Batch[] = [];
  const seen: Seen[] = [];
  return {
    batches,
    seen,
    add: (batch: ChildBatch) => {
      const at = performance.now();
      batches.push({ ...batch, at });
      for (const event of batch.events)
        seen.push({ key: String(event.subject), n: nOf(event), at });
    },
    /** The keys of the last batches, none older than half a second. */
    recent: (count: number): readonly string[] => {
      const after = performance.now() - 500;
      return batches
        .slice(-count)
        .filter(({ at }) => at > after)
        .flatMap(({ events }) => events.map(({ subject }) => String(subject)));
    },
  };
}
