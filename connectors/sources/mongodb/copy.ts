import type { Log } from "sluice";
import { captureOf } from "./capture.ts";
import type { Pass, StoredRange } from "./checkpoint.ts";
import { readChunk, type Chunk, type Range } from "./chunk.ts";
import { existing, type Existing } from "./collections.ts";
import type { Options } from "./config.ts";
import type { Deployment } from "./deployment.ts";
import type { Place } from "./cursor.ts";
import { decodeKey, encodeKey } from "./key.ts";
import type { Lookup } from "./lookup.ts";
import { countOf, split } from "./ranges.ts";
import type { Reading, Readings } from "./readings.ts";
import { persistently } from "./retry.ts";

/** What a copy tells the one who emits. */
export type CopyNews =
  | { readonly kind: "counted"; readonly total: number }
  | { readonly kind: "opened"; readonly name: string; readonly ranges: readonly StoredRange[] }
  | ChunkNews
  | { readonly kind: "finished"; readonly name: string }
  /** All of the pass is read; `names` exist. */
  | { readonly kind: "passed"; readonly names: ReadonlySet<string> };

export interface ChunkNews {
  readonly kind: "chunk";
  readonly of: Existing;
  /** Place of its range in `opened`. */
  readonly range: number;
  readonly reading: Reading;
  readonly chunk: Chunk;
  /** To be called when it is emitted, or of no use any more; false: leave the rest of the collection. */
  readonly settle: (goOn: boolean) => void;
}

export interface CopyRun {
  readonly signal: AbortSignal;
  readonly log: Log;
  readonly send: (news: CopyNews) => Promise<void>;
  /** Cluster time of the newest change that was emitted: nothing older is to be read. */
  readonly reached: () => bigint;
  readonly readings: Readings;
  readonly lookup: Lookup;
}

/**
 * Reads what a pass still has to, one collection after the other, several ranges of it at the same time. A
 * range is read on only when its last chunk is settled: what is in memory is bounded by the number of ranges.
 */
export async function copy(place: Place, pass: Pass, run: CopyRun): Promise<void> {
  const { deployment, capture, options } = place;
  const { send } = run;
  const again = <T>(what: () => Promise<T>) => persistently(what, run);
  const wanted = pass.collections && captureOf({ collections: pass.collections, scope: "auto" });
  const all = (await again(() => existing(deployment, capture)))
    .filter(({ type }) => type === "collection")
    .filter(({ namespace }) => wanted?.includes(namespace) ?? true);
  const counts = new Map<string, number>();
  for (const one of all) counts.set(one.name, await again(() => countOf(deployment, one)));
  const { after, current } = pass;
  const left = all.filter(({ name }) => after === undefined || name > after);
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  await send({ kind: "counted", total });
  for (const one of left) {
    const { name } = one;
    const ranges =
      current?.name === name
        ? current.ranges.map(fromStored)
        : await again(() => split(deployment, one, counts.get(name) ?? 0, options, run));
    await send({ kind: "opened", name, ranges: ranges.map(toStored) });
    await Promise.all(ranges.map((range, at) => copyRange(place, one, { range, at }, run)));
    await send({ kind: "finished", name });
  }
  await send({ kind: "passed", names: new Set(all.map(({ name }) => name)) });
}

async function copyRange(
  place: Place,
  of: Existing,
  { range: whole, at }: { readonly range: Range; readonly at: number },
  run: CopyRun,
): Promise<void> {
  const { deployment, options } = place;
  const { signal, readings, lookup, send, reached } = run;
  const filter = serverFilter(of, options, deployment);
  for (let range = whole; ;) {
    const reading = readings.begin(of.name);
    try {
      const request = { namespace: of.namespace, after: reached(), filter, signal };
      const chunk = await persistently(() => readChunk(place, lookup, range, request), run);
      const filled = reading.fill(chunk);
      if (filled === "void") return;
      if (filled === "again") continue;
      const goOn = await new Promise<boolean>((settle, reject) => {
        send({ kind: "chunk", of, range: at, reading, chunk, settle }).catch(reject);
      });
      if (!goOn || chunk.isLast) return;
      range = { ...range, after: chunk.last };
    } finally {
      reading.end();
    }
  }
}

/** Under a collation the server finds other texts equal than we do. */
function serverFilter({ options: own }: Existing, { filter }: Options, { bson }: Deployment) {
  const comparesPlainly = own !== undefined && own["collation"] === undefined;
  if (filter === undefined || !comparesPlainly) return undefined;
  return bson.EJSON.parse(JSON.stringify(filter), { relaxed: false });
}

function toStored({ from, after, until }: Range): StoredRange {
  return {
    ...(from && { from: encodeKey(from) }),
    ...(after && { after: encodeKey(after) }),
    ...(until && { until: encodeKey(until) }),
  };
}

function fromStored({ from, after, until }: StoredRange): Range {
  return {
    ...(from !== undefined && { from: decodeKey(from) }),
    ...(after !== undefined && { after: decodeKey(after) }),
    ...(until !== undefined && { until: decodeKey(until) }),
  };
}
