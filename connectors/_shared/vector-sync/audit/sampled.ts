import { setTimeout as sleep } from "node:timers/promises";
import type { Drift, StateStore, Vector, VectorStore } from "sluice";
import { embedKeyOf, markOf } from "../content-hash.ts";
import { vectorIdOf } from "../doc-key.ts";
import { packs } from "../packs.ts";
import { isDatedAs, isReadAs, readingOf } from "../reading.ts";
import type { CaughtUp } from "./caught-up.ts";
import { isClose } from "./closeness.ts";
import { driftOf } from "./drift.ts";
import { notesOf, type Note } from "./note.ts";
import type { RightValues } from "./values.ts";

const maxLooks = 4;
const lookAgainMs = 250;

type NotedChunk = Note["manifest"]["chunks"][number];

/** A chunk that is to be read whole. */
export interface Sampled {
  readonly docKey: string;
  readonly namespace: string;
  readonly chunk: NotedChunk;
}

interface Counts {
  sampled: number;
  values: number;
  unsettled: number;
  embedded: { readonly texts: number; readonly tokens: number; readonly dollars?: number };
}

/** The second level of the audit: vectors read whole. */
export interface SampleCheck {
  /** Compares metadata and `_v` with the notes, and numbers with the cache. */
  readonly read: (
    chosen: readonly Sampled[],
    counts: Counts,
    signal: AbortSignal,
  ) => AsyncGenerator<Drift, void>;
  /** The embedKeys whose numbers are still to be compared: what could be read of their text is offered. */
  readonly offer: (embedKey: string, text: string) => void;
  /** Compares those whose text is known with what the model makes of it. */
  readonly embed: (counts: Counts, signal: AbortSignal) => AsyncGenerator<Drift, void>;
}

export function sampleCheck(options: {
  readonly store: VectorStore;
  readonly state: StateStore;
  readonly caughtUp: CaughtUp;
  readonly right: RightValues;
  readonly fingerprint: string;
  /** Whether texts are embedded whose vector is not cached. */
  readonly embeds: boolean;
}): SampleCheck {
  const { store, state, caughtUp, right, fingerprint, embeds } = options;
  const waiting = new Map<string, { readonly one: Sampled; readonly values: Float32Array }[]>();
  const texts = new Map<string, string>();

  /** The drift, if it is one: what is worked on, or not yet to be seen, is none. */
  async function confirmed(
    { docKey, namespace, chunk }: Sampled,
    isWrong: (vector: Vector, note: Note) => boolean,
    signal: AbortSignal,
  ): Promise<Drift | "unsettled" | undefined> {
    for (let looks = 1; ; looks++) {
      const [before] = await notesOf(state, [docKey]);
      const since = performance.now();
      const noted = before?.manifest.chunks.find(({ id }) => id === chunk.id);
      // Another one by now, or gone: there is nothing left to judge.
      if (noted === undefined || markOf(noted) !== markOf(chunk)) return undefined;
      const isSeen = await caughtUp(before, { since, signal });
      const [vector] = await store.fetch([vectorIdOf(docKey, chunk.id)], { namespace, signal });
      const [note] = await notesOf(state, [docKey]);
      if (isSeen && note !== undefined && note.revision === before?.revision) {
        if (vector === undefined || !isWrong(vector, note)) return undefined;
        return driftOf({ docKey, namespace, note }, "stale", [chunk.id]);
      }
      if (looks === maxLooks) return "unsettled";
      await sleep(lookAgainMs, undefined, { signal });
    }
  }

  async function* judged(
    one: Sampled,
    isWrong: (vector: Vector, note: Note) => boolean,
    counts: Counts,
    signal: AbortSignal,
  ): AsyncGenerator<Drift, void> {
    const drift = await confirmed(one, isWrong, signal);
    if (drift === "unsettled") counts.unsettled += 1;
    else if (drift) yield drift;
  }

  return {
    async *read(chosen, counts, signal) {
      for (const [namespace, ones] of groupedBy(chosen, (one) => one.namespace))
        for (const pack of packs(ones, { maxCount: store.limits.maxFetchIds })) {
          const ids = pack.map(({ docKey, chunk }) => vectorIdOf(docKey, chunk.id));
          const found = new Map(
            (await store.fetch(ids, { namespace, signal })).map((vector) => [vector.id, vector]),
          );
          // After the reading: what is written is noted before.
          const docKeys = pack.map(({ docKey }) => docKey);
          const notes = await notesOf(state, docKeys);
          const cached = await right.cached(pack.map(({ chunk }) => chunk.embedKey));
          for (const [at, one] of pack.entries()) {
            counts.sampled += 1;
            const vector = found.get(ids[at] ?? "");
            // What is not there at all, the listing has told.
            if (vector === undefined) continue;
            const { chunk } = one;
            const wanted = cached.get(chunk.embedKey);
            const isWrong = (read: Vector, { manifest }: Pick<Note, "manifest">) => {
              const reading = readingOf(read.metadata);
              if (!isReadAs(reading, chunk) || !isDatedAs(reading, manifest)) return true;
              return wanted !== undefined && !isClose(read.values, wanted);
            };
            if (wanted !== undefined) counts.values += 1;
            const note = notes[at];
            if (note === undefined || isWrong(vector, note)) {
              yield* judged(one, isWrong, counts, signal);
              continue;
            }
            if (wanted !== undefined || !embeds) continue;
            const others = waiting.get(chunk.embedKey) ?? [];
            waiting.set(chunk.embedKey, [...others, { one, values: vector.values }]);
            const { text } = vector.metadata;
            if (typeof text === "string" && embedKeyOf(fingerprint, text) === chunk.embedKey)
              texts.set(chunk.embedKey, text);
          }
        }
    },
    offer(embedKey, text) {
      if (waiting.has(embedKey)) texts.set(embedKey, text);
    },
    async *embed(counts, signal) {
      const { vectors, cost } = await right.embedded(texts, signal);
      counts.embedded = cost;
      for (const [embedKey, wanted] of vectors)
        for (const { one, values } of waiting.get(embedKey) ?? []) {
          counts.values += 1;
          if (isClose(values, wanted)) continue;
          yield* judged(one, (read) => !isClose(read.values, wanted), counts, signal);
        }
    },
  };
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
