import type {
  Pipeline,
  SinkConnector,
  SourceConnector,
  Stage,
  TransformConnector,
} from "../config/pipeline.ts";
import { isRecordChange, isUpsert, type DocumentUpserted, type SluiceEvent } from "../event.ts";
import { matchesFilter } from "../filter.ts";
import { scratchState } from "../state/scratch.ts";
import { blaming } from "./blame.ts";
import { noChildren } from "./children.ts";
import { StageFailure } from "./failure.ts";
import { scanSource, whyNotScanned, type ScanRun } from "./scan-source.ts";
import type { OpenStage } from "./outcome.ts";
import { throughStages } from "./stages.ts";

type Consumer = SinkConnector | TransformConnector;

/** The way from a source to a sink: the consumers it goes through, the sink last. */
export interface Way {
  readonly source: SourceConnector;
  readonly consumers: readonly Consumer[];
}

/** Every way to a sink whose source and transforms are all in these files. */
export function waysTo(
  sink: SinkConnector,
  { connectors }: Pick<Pipeline, "connectors">,
): readonly Way[] {
  const climb = (topics: readonly string[], consumers: readonly Consumer[]): readonly Way[] =>
    connectors.flatMap((one): readonly Way[] => {
      if (one.kind === "sink" || !topics.includes(one.to)) return [];
      if (one.kind === "source") return [{ source: one, consumers }];
      // A name twice is a loop: nothing new comes round it.
      return consumers.includes(one) ? [] : climb(one.from, [one, ...consumers]);
    });
  return climb(sink.from, [sink]);
}

/** Marks of the transforms on the ways to a sink, as documents carry them in their lineage. */
export function marksOf(ways: readonly Way[], sink: SinkConnector): readonly string[] {
  const consumers = new Set<Consumer>([sink, ...ways.flatMap((way) => way.consumers)]);
  return [...consumers].flatMap(({ transforms }) =>
    transforms
      .filter(isPartOfLineage)
      .map(({ transform, configHash }) => `${transform.name}@${transform.version}:${configHash}`),
  );
}

/** What only annotates changes nothing that a sink is compared by, and may cost money. */
function isPartOfLineage({ transform }: Stage): boolean {
  return !transform.annotates;
}

/** Documents of a sink's sources, read without a trace, and what was left out. */
export interface Scan {
  readonly documents: AsyncIterable<DocumentUpserted>;
  readonly scanned: readonly string[];
  /** Sources that cannot be read so, and why. */
  readonly skipped: readonly { readonly source: string; readonly why: string }[];
  /** Known at the end: records read, and those that a transform refused. */
  readonly counts: { records: number; refused: number };
  /** At the end: whether every record of a `source` was read, should it have any. */
  readonly isWhole: (source: string) => boolean;
}

export function scanFor(
  sink: SinkConnector,
  ways: readonly Way[],
  run: ScanRun & { readonly limit?: number },
): Scan {
  const reasons = ways.map((way) => ({ way, why: whyNotScanned(way.source) }));
  const open = reasons.flatMap(({ way, why }) => (why === undefined ? [way] : []));
  const counts = { records: 0, refused: 0 };
  const shown = new Map<SourceConnector, Set<string>>();
  return {
    scanned: open.map(({ source }) => source.name),
    skipped: reasons.flatMap(({ way, why }) =>
      why === undefined ? [] : [{ source: way.source.name, why }],
    ),
    counts,
    documents: through(open, { counts, shown }, run),
    isWhole: (source) =>
      [...shown].some(([connector, sources]) =>
        isOf(source, connector, { sources, all: ways.map((way) => way.source) }),
      ),
  };
}

async function* through(
  ways: readonly Way[],
  found: {
    readonly counts: Scan["counts"];
    /** What connectors that were read whole named as the `source` of their records. */
    readonly shown: Map<SourceConnector, Set<string>>;
  },
  run: ScanRun & { readonly limit?: number },
): AsyncGenerator<DocumentUpserted, void> {
  const { signal, limit = Infinity } = run;
  const { counts, shown } = found;
  for (const { source, consumers } of ways) {
    const sources = shown.get(source) ?? new Set<string>();
    const hops = await Promise.all(consumers.map((consumer) => openHop(consumer, run)));
    try {
      for await (const batch of scanSource(source, run)) {
        for (const event of batch) sources.add(event.source);
        // Deletes and clears are of no record that is there.
        const there = batch.filter((event) => isUpsert(event) || !isRecordChange(event));
        let events: readonly SluiceEvent[] = there.slice(0, limit - counts.records);
        counts.records += events.length;
        for (const hop of hops) events = await hop.pass(events, counts, signal);
        for (const event of events)
          if (isRecordChange(event) && event.type === "dev.sluice.document.upserted") yield event;
        if (counts.records >= limit) return;
      }
      if (counts.records < limit) shown.set(source, sources);
    } finally {
      await Promise.all(hops.map(({ close }) => close()));
    }
  }
}

/**
 * Whether records of this `source` come from a connector that was read whole. One that showed none tells by
 * its name: `/file/notes`, or what lies under it; a database by what lies beside it (`/postgres/shop/…`); one
 * that is empty by its type, if no other is of that.
 */
function isOf(
  source: string,
  { name, source: { name: type } }: SourceConnector,
  { sources, all }: { readonly sources: Set<string>; readonly all: readonly SourceConnector[] },
): boolean {
  if (sources.has(source)) return true;
  const own = `/${type}/${encodeURIComponent(name)}`;
  if (`${source}/`.startsWith(`${own}/`)) return true;
  const others = new Set(all.filter((one) => one.source.name === type).map((one) => one.name));
  if (sources.size === 0) return others.size === 1 && source.startsWith(`/${type}/`);
  // Two names at least: what lies beside `/file/notes` is another connector's.
  const parent = source.slice(0, source.lastIndexOf("/") + 1);
  return (
    parent.split("/").length > 3 &&
    [...sources].some((one) => one.slice(0, one.lastIndexOf("/") + 1) === parent)
  );
}

async function openHop({ name, filter, transforms }: Consumer, { project, log, signal }: ScanRun) {
  const stages: OpenStage[] = [];
  for (const stage of transforms.filter(isPartOfLineage)) {
    const context = {
      name,
      project,
      config: stage.config,
      signal,
      log,
      state: scratchState(),
      meter: () => {},
    };
    const who = `transform "${stage.transform.name}" of "${name}"`;
    const worker = await blaming(who, () => stage.transform.open(context));
    stages.push({ ...stage, worker, children: worker.splits ? noChildren : undefined });
  }
  return {
    async pass(events: readonly SluiceEvent[], counts: Scan["counts"], stop: AbortSignal) {
      const wanted = filter ? events.filter((event) => matchesFilter(filter, event)) : events;
      return await passed(stages, wanted, counts, stop);
    },
    close: async () => {
      await Promise.all(stages.map(async ({ worker }) => await worker.close?.()));
    },
  };
}

/** What comes out; what a stage refuses as a whole is halved until the one at fault is alone. */
async function passed(
  stages: readonly OpenStage[],
  events: readonly SluiceEvent[],
  counts: Scan["counts"],
  signal: AbortSignal,
): Promise<readonly SluiceEvent[]> {
  if (events.length === 0) return [];
  try {
    const out: SluiceEvent[] = [];
    const failures = await throughStages(stages, events, {
      signal,
      fence: noFence,
      write: async (slots) => {
        for (const { event } of slots) out.push(event);
        return [];
      },
    });
    counts.refused += failures.length;
    return out;
  } catch (error) {
    if (!(error instanceof StageFailure) || signal.aborted) throw error;
    if (events.length === 1) {
      counts.refused += 1;
      return [];
    }
    const middle = events.length >> 1;
    return [
      ...(await passed(stages, events.slice(0, middle), counts, signal)),
      ...(await passed(stages, events.slice(middle), counts, signal)),
    ];
  }
}

/** Nothing is stored on the way. */
const noFence = { lease: "scan", token: 0 };
