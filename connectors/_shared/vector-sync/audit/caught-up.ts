import { setTimeout as sleep } from "node:timers/promises";
import type { StateStore, VectorStore } from "sluice";
import { openJournal } from "../journal.ts";
import { headOf } from "../namespaces.ts";
import type { Note } from "./note.ts";

/** A reading that stays behind for so long is worth asking how long the log is. */
const graceMs = 1_000;
const firstDelayMs = 100;
const maxDelayMs = 1_000;
/** Not a lease that anybody holds. */
const fence = { lease: "verify", token: 0 };

/** What is known of a namespace's log. */
interface Log {
  /** The highest position that a reading told. */
  shown: bigint;
  /** What a write was given that changes nothing, and when: no log is longer. `head` is absent where nothing is told. */
  probe: { readonly at: number; readonly head: bigint | undefined } | undefined;
  /** Milliseconds that may still be waited for it: once for all its documents, anew when waiting helped. */
  leftMs: number;
}

/**
 * Tells whether readings of a namespace show the last write that a document's notes tell of. An index that is
 * behind is waited for; one whose log is shorter than the notes say was emptied or replaced, and what
 * they tell of was written to the log before: a reading is as true as it will ever be. `since` says when the
 * note was read (`performance.now()`).
 */
export type CaughtUp = (
  note: Note | undefined,
  run: { readonly since: number; readonly signal: AbortSignal },
) => Promise<boolean>;

export function caughtUp(options: {
  readonly store: VectorStore;
  readonly state: StateStore;
  readonly dimensions: number;
  readonly fixed: string | undefined;
  /** Milliseconds to wait for an index that is behind. */
  readonly patienceMs: number;
}): CaughtUp {
  const { store, state, dimensions, fixed, patienceMs } = options;
  const journal = openJournal(state);
  const vector = new Float32Array(dimensions).fill(1);
  const logs = new Map<string, Log>();

  async function probe(namespace: string, signal: AbortSignal): Promise<bigint | undefined> {
    const head = await headOf(store, namespace, { signal, deadline: Infinity });
    // So that the sink does not take it for a write that state has forgotten.
    if (head !== undefined && namespace === fixed && head > (await journal.explained()))
      await state.each([journal.end(fence, head)]);
    return head;
  }

  return async (note, { since, signal }) => {
    const { namespace = "", lsn: noted } = note?.manifest ?? {};
    if (noted === undefined) return true;
    const lsn = BigInt(noted);
    const log = logs.get(namespace) ?? { shown: 0n, probe: undefined, leftMs: patienceMs };
    logs.set(namespace, log);
    const began = performance.now();
    for (let delayMs = firstDelayMs; lsn > log.shown;) {
      const position = (await store.query({ vector, topK: 1 }, { namespace, signal })).lsn;
      if (position === undefined) return true; // there is nothing to go by
      if (position > log.shown) log.shown = position;
      if (lsn <= log.shown) break;
      const isLate = performance.now() - began >= graceMs || log.leftMs <= 0;
      const isKnown = log.probe !== undefined && log.probe.at >= since;
      if (isLate && !isKnown && (log.probe?.head ?? -1n) < lsn)
        log.probe = { at: performance.now(), head: await probe(namespace, signal) };
      const { at = -1, head } = log.probe ?? {};
      if (at >= since && (head === undefined || (head < lsn && position >= head))) return true;
      if (log.leftMs <= 0) return false;
      await sleep(delayMs, undefined, { signal });
      log.leftMs -= delayMs;
      delayMs = Math.min(delayMs * 1.5, maxDelayMs);
    }
    log.leftMs = patienceMs;
    return true;
  };
}
