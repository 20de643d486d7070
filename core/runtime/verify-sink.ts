import { setTimeout as sleep } from "node:timers/promises";
import type { Backend } from "../backend.ts";
import type { Pipeline, SinkConnector } from "../config/pipeline.ts";
import type { Auditor, Drift, Log, Verified } from "../connector.ts";
import { marksOf, scanFor, waysTo } from "./documents-of.ts";

/** What a verification found. */
export interface VerifyReport extends Verified {
  readonly sink: string;
  /** How many of each; `old-lineage` is allowed and no drift. */
  readonly drift: Readonly<Record<Drift["kind"], number>>;
  readonly isDrifted: boolean;
  /** The first of them. */
  readonly examples: readonly Drift[];
  /** Sources whose records were compared. */
  readonly scanned: readonly string[];
  readonly skipped: readonly { readonly source: string; readonly why: string }[];
}

const maxExamples = 100;
const handledWithinMs = 60_000;
const pollMs = 250;

/**
 * Verifies a sink while it runs, or not: the target against its notes, and against its sources where they
 * can be read without a trace. Writes nothing. Each drift goes to `found` as it is found.
 */
export async function verifySink(
  pipeline: Pipeline,
  sink: SinkConnector,
  place: { readonly backend: Backend; readonly auditor: Auditor },
  run: {
    /** Milliseconds that a change at an origin may take to get to the sink. */
    readonly patienceMs: number;
    readonly sample: number;
    readonly withSources: boolean;
    readonly found: (drift: Drift) => Promise<void> | void;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<VerifyReport> {
  const { backend, auditor } = place;
  const { patienceMs, sample, withSources, found, log, signal } = run;
  const ways = waysTo(sink, pipeline);
  const scan = () => scanFor(sink, ways, { project: pipeline.project, log, signal });
  const { scanned, skipped } = withSources ? scan() : { scanned: [], skipped: [] };
  const drift = { missing: 0, stale: 0, orphaned: 0, "old-lineage": 0 };
  const examples: Drift[] = [];
  const names = new Set(ways.flatMap(({ consumers }) => consumers.map(({ name }) => name)));
  const verifying = auditor.verify(
    {
      sample,
      lineage: marksOf(ways, sink),
      settled: () => areHandled([...names], backend, signal),
      patienceMs,
      ...(scanned.length > 0 && { documents: () => scan().documents }),
    },
    { signal },
  );
  for (;;) {
    const next = await verifying.next();
    if (next.done) {
      const isDrifted = drift.missing + drift.stale + drift.orphaned > 0;
      return { sink: sink.name, ...next.value, drift, isDrifted, examples, scanned, skipped };
    }
    drift[next.value.kind] += 1;
    if (examples.length < maxExamples) examples.push(next.value);
    await found(next.value);
  }
}

/** True once nothing waits for these consumers; false when that takes too long. */
async function areHandled(
  names: readonly string[],
  { topics }: Backend,
  signal: AbortSignal,
): Promise<boolean> {
  const until = performance.now() + handledWithinMs;
  for (;;) {
    const own = (await topics.subscriptions()).filter(({ name }) => names.includes(name));
    if (own.every(({ waiting }) => waiting === 0)) return true;
    if (performance.now() > until) return false;
    await sleep(pollMs, undefined, { signal });
  }
}
