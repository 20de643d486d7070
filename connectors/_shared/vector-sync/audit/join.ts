import type { Manifest, StateStore, VectorStore } from "sluice";
import { documentsOf, type Listed } from "../adopt.ts";
import { docKeyIn, idsIn, manifestsPrefix, toManifest } from "../manifest.ts";
import type { Note } from "./note.ts";

/** A document as its notes and the index tell it, in one namespace. */
export interface Pair {
  readonly docKey: string;
  readonly namespace: string;
  /** Its notes, wherever they say it is; absent: nobody knows it. */
  readonly note: Note | undefined;
  /** Chunk ids that the index lists. */
  readonly ids: readonly string[];
  /** An id that is none of ours, whole in `docKey`. */
  readonly isForeign: boolean;
}

/** Tells where notes and index differ: ids that are noted as certain, and ids that are not noted at all. */
export function differenceOf({ namespace, note, ids }: Pair): {
  readonly missing: readonly string[];
  readonly extra: readonly string[];
} {
  const { manifest } = note ?? {};
  const certain = manifest?.namespace === namespace ? manifest.chunks.map(({ id }) => id) : [];
  const there = new Set(ids);
  const noted = new Set(manifest ? idsIn(manifest, namespace) : []);
  return {
    missing: certain.filter((id) => !there.has(id)),
    extra: ids.filter((id) => !noted.has(id)),
  };
}

/**
 * Merges all notes with the listings of all namespaces, both in the order of their ids: memory holds a
 * page of each namespace, whatever the size of the index.
 */
export async function* joined(
  store: VectorStore,
  state: StateStore,
  run: { readonly fixed: string | undefined; readonly signal: AbortSignal },
): AsyncGenerator<Pair, void> {
  const { fixed, signal } = run;
  const listings = new Map<string, Listing>();
  const listing = (namespace: string): Listing => {
    const known = listings.get(namespace) ?? openListing(store, namespace, signal);
    listings.set(namespace, known);
    return known;
  };

  for await (const page of state.scan(manifestsPrefix))
    for (const entry of page) {
      const manifest = toManifest(entry);
      if (manifest === undefined) continue;
      const note: Note = { manifest, revision: entry.revision };
      const docKey = docKeyIn(entry.key);
      for (const namespace of placesOf(manifest)) {
        const { before, at } = await listing(namespace).upTo(docKey);
        for (const unknown of before) yield { ...unknown, namespace, note: undefined };
        yield { docKey, namespace, note, ids: at, isForeign: false };
      }
    }
  for (const namespace of await namesOf(store, fixed, signal)) listing(namespace);
  for (const [namespace, { rest }] of listings)
    for await (const unknown of rest()) yield { ...unknown, namespace, note: undefined };
}

/** Every namespace a document may have something in. */
function placesOf({ namespace, elsewhere = [] }: Manifest): readonly string[] {
  return [namespace, ...elsewhere.map((place) => place.namespace)].filter((name) => name !== "");
}

async function namesOf(
  store: VectorStore,
  fixed: string | undefined,
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (fixed !== undefined) return [fixed];
  const names: string[] = [];
  for await (const page of store.namespaces?.({ signal }) ?? []) names.push(...page);
  return names;
}

interface Listing {
  /** The documents before a docKey that were not asked for, and the ids of the one itself. */
  readonly upTo: (docKey: string) => Promise<{
    readonly before: readonly Listed[];
    readonly at: readonly string[];
  }>;
  readonly rest: () => AsyncGenerator<Listed, void>;
}

function openListing(store: VectorStore, namespace: string, signal: AbortSignal): Listing {
  const documents = documentsOf(store, { namespace, signal });
  let next: Listed | undefined;
  let isOver = false;

  async function peek(): Promise<Listed | undefined> {
    if (next === undefined && !isOver) {
      const result = await documents.next();
      if (result.done) isOver = true;
      else next = result.value;
    }
    return next;
  }

  return {
    async upTo(docKey) {
      const before: Listed[] = [];
      for (;;) {
        const listed = await peek();
        // Both orders are of bytes, and `#` ends every key.
        if (listed === undefined || `${listed.docKey}#` > `${docKey}#`) return { before, at: [] };
        next = undefined;
        if (listed.docKey === docKey && !listed.isForeign) return { before, at: listed.ids };
        before.push(listed);
      }
    },
    async *rest() {
      for (let listed = await peek(); listed !== undefined; listed = await peek()) {
        next = undefined;
        yield listed;
      }
    },
  };
}
