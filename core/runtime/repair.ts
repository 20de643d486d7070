import type { Backend } from "../backend.ts";
import type { Pipeline, SinkConnector } from "../config/pipeline.ts";
import type { Auditor, Drift } from "../auditor.ts";
import { SluiceError } from "../errors.ts";
import { timedId } from "../timed-id.ts";
import { waysTo } from "./documents-of.ts";
import { askedWrite } from "./requests.ts";
import type { VerifyReport } from "./verify-sink.ts";

/** What a repair put on its way: nothing but what is no record's is written to the target here. */
export interface Repair {
  /** Records whose next event is compared with the target itself. */
  readonly marked: number;
  /** Deletes published to the sink. */
  readonly deletes: number;
  /** Ids that are no record's: removed from the target, with `force`. */
  readonly removed: number;
  /** Sources asked to read everything again, for this sink only. */
  readonly asked: readonly string[];
  /** Sources that take no requests: restart them anew to have their records sent again. */
  readonly unable: readonly string[];
}

/** Of the documents, as for a sweep: what would delete more looks like an origin that forgot. */
const maxDeleteRatio = 0.2;
const alwaysAllowed = 10;
const published = 200;

/**
 * Repairs through the queue: marks what drifted, publishes deletes for what nobody will send again, and
 * asks the sources for everything else. Refuses to delete much, unless `force`.
 */
export async function repairSink(
  pipeline: Pipeline,
  sink: SinkConnector,
  place: { readonly backend: Backend; readonly auditor: Auditor },
  run: {
    readonly drifts: readonly Drift[];
    readonly report: VerifyReport;
    readonly force: boolean;
    readonly signal: AbortSignal;
  },
): Promise<Repair> {
  const { backend, auditor } = place;
  const { drifts, report, force, signal } = run;
  guard(drifts, report, { force, name: sink.name });
  const { deletes, removed } = await auditor.mend(drifts, { force, signal });
  const [topic = ""] = sink.from;
  for (let from = 0; from < deletes.length; from += published) {
    const events = deletes.slice(from, from + published);
    await backend.topics.publish(
      topic,
      events.map((event) => ({ ...event, audience: sink.name })),
      { signal },
    );
  }
  const asked = new Set<string>();
  const unable = new Set<string>();
  for (const { source, consumers } of waysTo(sink, pipeline))
    if (!source.source.capabilities.snapshotOnRequest) unable.add(source.name);
    else {
      const audience = consumers.map(({ name }) => name).join("/");
      const { state } = backend.state.scope(source.name);
      await state.each([askedWrite({ id: timedId(), audience })]);
      asked.add(source.name);
    }
  const marked = drifts.filter(
    ({ kind, isForeign }) => kind !== "old-lineage" && !isForeign,
  ).length;
  return { marked, deletes: deletes.length, removed, asked: [...asked], unable: [...unable] };
}

function guard(
  drifts: readonly Drift[],
  { documents }: VerifyReport,
  { force, name }: { readonly force: boolean; readonly name: string },
): void {
  const doomed = drifts.filter(isDoomed).length;
  if (force || doomed <= Math.max(alwaysAllowed, documents * maxDeleteRatio)) return;
  throw new SluiceError(
    `${name}: the repair would delete ${doomed} records, of ${documents} that are noted.`,
    {
      code: "cli.too-many-deletes",
      fix: "Check that the source holds what it should (is its disk mounted?), and that no other sink fills this index. If so, add --force.",
    },
  );
}

/** Gone at its origin, or known to nobody. What is foreign goes by force only. */
function isDoomed({ kind, source, ids, isForeign }: Drift): boolean {
  return kind === "orphaned" && !isForeign && (source === undefined || ids.length === 0);
}
