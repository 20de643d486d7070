import { setTimeout as sleep } from "node:timers/promises";
import type { Auditor, Drift, StateStore, VectorStore, Verified } from "sluice";
import { isOfRecord } from "../adopt.ts";
import { chunkIdsOf } from "../chunk-ids.ts";
import { vectorIdOf } from "../doc-key.ts";
import { againstOrigin } from "./against-origin.ts";
import { caughtUp, type CaughtUp } from "./caught-up.ts";
import { driftOf, driftsIn, isOld, isUnderWay } from "./drift.ts";
import { differenceOf, joined, type Pair } from "./join.ts";
import { notesOf } from "./note.ts";
import type { originCheck } from "./origin.ts";
import { reservoir } from "./reservoir.ts";
import { sampleCheck, type Sampled } from "./sampled.ts";
import type { RightValues } from "./values.ts";

/** Looked at again at once: so many readings are shared. */
const suspectsAtOnce = 200;
const lookAgainMs = 250;
/** What is under way usually is for less. */
const minPatienceMs = 3_000;

type Verify = Auditor["verify"];

/**
 * Compares index, notes and origin. What looks wrong is looked at again, until its notes stood still
 * around the reading and the index had seen their last write: work under way is no drift.
 */
export function verifier(options: {
  readonly store: VectorStore;
  readonly state: StateStore;
  /** The only namespace, if it is always the same. */
  readonly fixed: string | undefined;
  readonly origin: Omit<Parameters<typeof originCheck>[0], "offer">;
  readonly right: RightValues;
  /** Milliseconds that the index may be behind. */
  readonly visibleWithinMs: number;
}): Verify {
  const { store, state, fixed, right, visibleWithinMs } = options;
  const { fingerprint, dimensions } = options.origin.embedder;

  return async function* verify(how, { signal }): AsyncGenerator<Drift, Verified> {
    const counts = {
      documents: 0,
      vectors: 0,
      sampled: 0,
      values: 0,
      embedded: { texts: 0, tokens: 0 },
      compared: 0,
      unsettled: 0,
    };
    const isCaughtUp = caughtUp({ store, state, dimensions, fixed, patienceMs: visibleWithinMs });
    const look = looker({ store, state, caughtUp: isCaughtUp, patienceMs: how.patienceMs });
    const chosen = reservoir<Sampled>(how.sample);
    const suspects: Pair[] = [];

    for await (const pair of joined(store, state, { fixed, signal })) {
      const { note, namespace, docKey } = pair;
      counts.vectors += pair.isForeign ? 1 : pair.ids.length;
      const isHome = note?.manifest.namespace === namespace;
      if (note && isHome && note.manifest.state !== "tombstone") {
        counts.documents += 1;
        if (isOld(note, how.lineage)) yield driftOf(pair, "old-lineage", []);
        for (const chunk of note.manifest.chunks) chosen.offer({ docKey, namespace, chunk });
      }
      const { missing, extra } = differenceOf(pair);
      if (pair.isForeign || missing.length > 0 || extra.length > 0) suspects.push(pair);
      if (suspects.length < suspectsAtOnce) continue;
      yield* look(suspects.splice(0), counts, signal);
    }
    yield* look(suspects, counts, signal);

    const embeds = how.values;
    const sample = sampleCheck({ store, state, caughtUp: isCaughtUp, right, fingerprint, embeds });
    yield* sample.read(chosen.taken(), counts, signal);
    const { offer } = sample;
    if (how.origins)
      yield* againstOrigin(how.origins, how, { ...options.origin, offer }, counts, signal);
    yield* sample.embed(counts, signal);
    return counts;
  };
}

/** Looks at suspects until each is settled, cleared or drift, or patience ends. */
function looker(options: {
  readonly store: VectorStore;
  readonly state: StateStore;
  readonly caughtUp: CaughtUp;
  readonly patienceMs: number;
}): (
  suspects: readonly Pair[],
  counts: { unsettled: number },
  signal: AbortSignal,
) => AsyncGenerator<Drift, void> {
  const { store, state, caughtUp: isCaughtUp } = options;
  const patienceMs = Math.max(minPatienceMs, options.patienceMs);
  let leftMs = patienceMs;

  /** The pair as it is now, or `undefined` while it is being worked on. */
  async function lookedAt(
    pair: Pair,
    { began, signal }: { readonly began: number; readonly signal: AbortSignal },
  ): Promise<Pair | undefined> {
    const { docKey, namespace, isForeign } = pair;
    if (isForeign) return pair;
    const [before] = await notesOf(state, [docKey]);
    const isAsJoined = before?.revision === pair.note?.revision;
    const since = isAsJoined ? began : performance.now();
    if (before && isUnderWay(before.manifest)) return undefined;
    if (!(await isCaughtUp(before, { since, signal }))) return undefined;
    const ids = await chunkIdsOf(store, docKey, { namespace, signal });
    const [after] = await notesOf(state, [docKey]);
    if (before?.revision !== after?.revision) return undefined;
    const now = { docKey, namespace, note: after, ids, isForeign };
    return after === undefined ? { ...now, isForeign: await isNobodys(now, signal) } : now;
  }

  /** True for ids in the form of ours that are no record's. */
  async function isNobodys({ docKey, namespace, ids: [first] }: Pair, signal: AbortSignal) {
    if (first === undefined) return false;
    const [vector] = await store.fetch([vectorIdOf(docKey, first)], { namespace, signal });
    return vector !== undefined && !isOfRecord(vector, docKey);
  }

  return async function* look(suspects, counts, signal) {
    const began = performance.now();
    let open = suspects;
    for (let looks = 1; open.length > 0; looks++) {
      const moving: Pair[] = [];
      for (const pair of open) {
        const settled = await lookedAt(pair, { began, signal });
        if (settled === undefined) moving.push(pair);
        else yield* driftsIn(settled);
      }
      open = moving;
      if (open.length === 0) break;
      if (leftMs <= 0 && looks > 1) {
        counts.unsettled += open.length;
        return;
      }
      const before = performance.now();
      await sleep(lookAgainMs, undefined, { signal });
      leftMs -= performance.now() - before;
    }
    leftMs = patienceMs;
  };
}
