import { setTimeout as sleep } from "node:timers/promises";
import type { Backend } from "../backend.ts";
import type { Pipeline, SinkConnector } from "../config/pipeline.ts";
import type { Auditor, Drift, RecordName, Verified } from "../auditor.ts";
import type { Log } from "../connector.ts";
import { isPartOf } from "../child.ts";
import { isRecordChange } from "../event.ts";
import { blaming } from "./blame.ts";
import { marksOf, scanFor, waysTo } from "./documents-of.ts";

/** What a verification found. */
export interface VerifyReport extends Verified {
  readonly sink: string;
  /** How many of each; `old-lineage` is allowed and no drift. */
  readonly drift: Readonly<Record<Drift["kind"], number>>;
  readonly isDrifted: boolean;
  /** No drift, and nothing that could not be judged. */
  readonly isExact: boolean;
  /** Of the orphaned: ids that are no record's, which only a forced repair deletes. */
  readonly foreign: number;
  /** Records with an open dead letter on their way here: what they should be is not known, and no drift. */
  readonly deadLettered: number;
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
    readonly values: boolean;
    readonly withSources: boolean;
    readonly found: (drift: Drift) => Promise<void> | void;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<VerifyReport> {
  const { backend, auditor } = place;
  const { patienceMs, sample, values, withSources, found, log, signal } = run;
  const ways = waysTo(sink, pipeline);
  const scan = () => scanFor(sink, ways, { project: pipeline.project, log, signal });
  const { scanned, skipped } = withSources ? scan() : { scanned: [], skipped: [] };
  const drift = { missing: 0, stale: 0, orphaned: 0, "old-lineage": 0 };
  const examples: Drift[] = [];
  const names = new Set(ways.flatMap(({ consumers }) => consumers.map(({ name }) => name)));
  const letters = await lettersOf([...names], backend);
  let foreign = 0;
  const verifying = auditor.verify(
    {
      sample,
      values,
      lineage: marksOf(ways, sink),
      settled: () => areHandled([...names], backend, signal),
      patienceMs,
      ...(scanned.length > 0 && {
        origins: () => ({ ...scan(), isGivenUp: letters.has }),
      }),
    },
    { signal },
  );
  for (;;) {
    const next = await blaming(`sink "${sink.name}" (${sink.sink.name})`, () => verifying.next());
    if (next.done) {
      const isDrifted = drift.missing + drift.stale + drift.orphaned > 0;
      return {
        sink: sink.name,
        ...next.value,
        drift,
        isDrifted,
        isExact: !isDrifted && next.value.unsettled === 0,
        foreign,
        deadLettered: letters.count,
        examples,
        scanned,
        skipped,
      };
    }
    const { kind, ids, isForeign } = next.value;
    drift[kind] += 1;
    if (isForeign) foreign += ids.length;
    if (examples.length < maxExamples) examples.push(next.value);
    await found(next.value);
  }
}

/** The records that consumers have open dead letters of, and which these are, with their parts. */
async function lettersOf(consumers: readonly string[], { deadLetters }: Backend) {
  const subjects = new Map<string, Set<string>>();
  for (const name of consumers)
    for await (const page of deadLetters.list(name))
      for (const { event } of page) {
        if (!isRecordChange(event)) continue;
        const known = subjects.get(event.source) ?? new Set<string>();
        subjects.set(event.source, known.add(event.subject));
      }
  return {
    count: [...subjects.values()].reduce((sum, { size }) => sum + size, 0),
    has: ({ source, subject }: RecordName): boolean => {
      const known = subjects.get(source) ?? new Set();
      return known.has(subject) || [...known].some((record) => isPartOf(subject, record));
    },
  };
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
