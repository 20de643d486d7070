import { setTimeout as sleep } from "node:timers/promises";
import type { Auditor, Drift, StateStore, VectorStore, Verified } from "sluice";
import { markOf } from "../content-hash.ts";
import { vectorIdOf } from "../doc-key.ts";
import { packs } from "../packs.ts";
import { isReadAs, readingOf } from "../reading.ts";
import type { Visibility } from "../visibility.ts";
import { differenceOf, joined, type Pair } from "./join.ts";
import { notesOf, type Note } from "./note.ts";
import { originCheck, type Suspect } from "./origin.ts";
import { reservoir } from "./reservoir.ts";

/** Looked at again at once: so many readings are shared. */
const suspectsAtOnce = 200;
const maxLooks = 12;
const lookAgainMs = 250;

type Verify = Auditor["verify"];

/** A chunk that is to be read whole. */
interface Sampled {
  readonly docKey: string;
  readonly namespace: string;
  readonly chunk: Note["manifest"]["chunks"][number];
}

/**
 * Compares index, notes and origin. What looks wrong is looked at again, until its notes stood still
 * around the reading and the index had seen their last write: work under way is no drift.
 */
export function verifier(options: {
  readonly store: VectorStore;
  readonly state: StateStore;
  readonly visible: Visibility;
  /** The only namespace, if it is always the same. */
  readonly fixed: string | undefined;
  readonly origin: Parameters<typeof originCheck>[0];
}): Verify {
  const { store, state, visible, fixed } = options;

  async function* verify(
    how: Parameters<Verify>[0],
    { signal }: Parameters<Verify>[1],
  ): AsyncGenerator<Drift, Verified> {
    const counts = { documents: 0, vectors: 0, sampled: 0, compared: 0, unsettled: 0 };
    const sample = reservoir<Sampled>(how.sample);
    let suspects: Pair[] = [];

    for await (const pair of joined(store, state, { fixed, signal })) {
      const { note, namespace, docKey } = pair;
      counts.vectors += pair.ids.length;
      const isHome = note?.manifest.namespace === namespace;
      if (note && isHome && note.manifest.state !== "tombstone") {
        counts.documents += 1;
        if (isOld(note, how.lineage)) yield driftOf(pair, "old-lineage", []);
        for (const chunk of note.manifest.chunks) sample.offer({ docKey, namespace, chunk });
      }
      const { missing, extra } = differenceOf(pair);
      if (pair.isForeign) counts.vectors += 1;
      if (pair.isForeign || missing.length > 0 || extra.length > 0) suspects.push(pair);
      if (suspects.length < suspectsAtOnce) continue;
      yield* judged(suspects.splice(0), counts, signal);
    }
    yield* judged(suspects, counts, signal);
    yield* sampled(sample.taken(), counts, signal);
    if (how.documents) yield* comparedWithOrigin(how.documents, how, counts, signal);
    return counts;
  }

  /** Looks at suspects until each is settled: cleared, or drift. */
  async function* judged(
    suspects: readonly Pair[],
    counts: { unsettled: number },
    signal: AbortSignal,
  ): AsyncGenerator<Drift, void> {
    let open = suspects;
    for (let looks = 0; open.length > 0; looks++) {
      if (looks === maxLooks) {
        counts.unsettled += open.length;
        return;
      }
      if (looks > 0) await sleep(lookAgainMs, undefined, { signal });
      const moving: Pair[] = [];
      for (const pair of open) {
        const settled = await lookedAt(pair, signal);
        if (settled === undefined) moving.push(pair);
        else yield* driftsIn(settled);
      }
      open = moving;
    }
  }

  /** The pair as it is now, or `undefined` while it is being worked on. */
  async function lookedAt(pair: Pair, signal: AbortSignal): Promise<Pair | undefined> {
    const { docKey, namespace, isForeign } = pair;
    if (isForeign) return pair;
    const [before] = await notesOf(state, [docKey]);
    if (before?.manifest.state === "pending" && isUnderWay(before.manifest)) return undefined;
    if (!(await isSeen(before, signal))) return undefined;
    const prefix = vectorIdOf(docKey, "");
    const ids: string[] = [];
    for await (const page of store.list(prefix, { namespace, signal }))
      for (const id of page) ids.push(id.slice(prefix.length));
    const [after] = await notesOf(state, [docKey]);
    if (before?.revision !== after?.revision) return undefined;
    return { docKey, namespace, note: after, ids, isForeign };
  }

  /** True once readings show the last write that the notes tell of. */
  async function isSeen(note: Note | undefined, signal: AbortSignal): Promise<boolean> {
    const { lsn, namespace = "" } = note?.manifest ?? {};
    if (lsn === undefined) return true;
    try {
      await visible.seen({ namespace, lsn: BigInt(lsn), evidence: undefined }, signal);
      return true;
    } catch {
      signal.throwIfAborted();
      return false; // it lags too far to be judged
    }
  }

  /** Reads vectors whole: what came back must hash to what was noted, not only say so. */
  async function* sampled(
    chosen: readonly Sampled[],
    counts: { sampled: number; unsettled: number },
    signal: AbortSignal,
  ): AsyncGenerator<Drift, void> {
    for (const [namespace, ones] of groupedBy(chosen, (one) => one.namespace))
      for (const pack of packs(ones, { maxCount: store.limits.maxFetchIds })) {
        const ids = pack.map(({ docKey, chunk }) => vectorIdOf(docKey, chunk.id));
        const found = new Map(
          (await store.fetch(ids, { namespace, signal })).map((vector) => [vector.id, vector]),
        );
        const now = await notesOf(
          state,
          pack.map(({ docKey }) => docKey),
        );
        for (const [at, { docKey, chunk }] of pack.entries()) {
          counts.sampled += 1;
          const id = ids[at] ?? "";
          const vector = found.get(id);
          // What is not there at all, the listing has told.
          if (vector === undefined || isReadAs(readingOf(vector.metadata), chunk)) continue;
          const note = now[at];
          const noted = note?.manifest.chunks.find((one) => one.id === chunk.id);
          const isMoving = noted === undefined || markOf(noted) !== markOf(chunk);
          if (isMoving || !(await isSeen(note, signal))) {
            counts.unsettled += 1;
            continue;
          }
          const [again] = await store.fetch([id], { namespace, signal });
          const pair = { docKey, namespace, note, ids: [], isForeign: false };
          if (again && !isReadAs(readingOf(again.metadata), chunk))
            yield driftOf(pair, "stale", [chunk.id]);
        }
      }
  }

  /**
   * Reads the origin, and if something differs waits for it to get here; then reads it once more. Drift is
   * what the origin held both times while the notes, with nothing left to handle, stood still.
   */
  async function* comparedWithOrigin(
    read: NonNullable<Parameters<Verify>[0]["documents"]>,
    { settled, patienceMs }: Parameters<Verify>[0],
    counts: { compared: number; unsettled: number },
    signal: AbortSignal,
  ): AsyncGenerator<Drift, void> {
    const suspectsOf = async (): Promise<readonly Suspect[]> => {
      const origin = originCheck(options.origin);
      await origin.begin(signal);
      counts.compared = 0;
      for await (const document of read()) {
        await origin.see(document, signal);
        counts.compared += 1;
      }
      const until = performance.now() + patienceMs;
      for (;;) {
        const suspects = [...(await origin.suspects())];
        for await (const one of origin.vanished(signal)) suspects.push(one);
        if (suspects.length === 0 || performance.now() > until) return suspects;
        await sleep(lookAgainMs, undefined, { signal });
      }
    };
    const first = await suspectsOf();
    if (first.length === 0) return;
    const isSettled = await settled();
    const before = new Map(first.map((one) => [one.docKey, one]));
    for (const { drift, docKey, wanted, revision } of await suspectsOf()) {
      const same = before.get(docKey);
      if (isSettled && same?.wanted === wanted && same.revision === revision) yield drift;
      else counts.unsettled += 1;
    }
  }

  return verify;
}

/** A worker is at it, or its event comes again. What was adopted from a listing, or taken back, waits for its next event. */
function isUnderWay({ before, deletedAt }: Note["manifest"]): boolean {
  return before !== undefined || deletedAt !== undefined;
}

function* driftsIn(pair: Pair): Generator<Drift, void, void> {
  if (pair.isForeign) return yield { kind: "orphaned", place: pair.namespace, ids: [pair.docKey] };
  const { missing, extra } = differenceOf(pair);
  if (missing.length > 0) yield driftOf(pair, "missing", missing);
  if (extra.length > 0) yield driftOf(pair, "orphaned", extra);
}

function driftOf(pair: Pair, kind: Drift["kind"], ids: readonly string[]): Drift {
  const { docKey, namespace: place, note } = pair;
  const { source, subject } = note?.manifest ?? {};
  return {
    kind,
    place,
    ids: ids.map((id) => vectorIdOf(docKey, id)),
    ...(source !== undefined && { source }),
    ...(subject !== undefined && { subject }),
  };
}

function isOld({ manifest }: Note, lineage: readonly string[]): boolean {
  const nameOf = (mark: string) => mark.slice(0, mark.indexOf("@"));
  return manifest.lineage.some(
    (mark) => !lineage.includes(mark) && lineage.some((now) => nameOf(now) === nameOf(mark)),
  );
}

function groupedBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}
