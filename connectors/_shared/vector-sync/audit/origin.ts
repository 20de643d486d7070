import { hash } from "node:crypto";
import type {
  DocumentUpserted,
  Drift,
  Embedder,
  Manifest,
  OriginReading,
  RecordName,
  StateStore,
  VectorStore,
} from "sluice";
import { breather } from "../../text/breathe.ts";
import { docKeyOf } from "../doc-key.ts";
import { docKeyIn, idsIn, manifestsPrefix, toManifest } from "../manifest.ts";
import type { MetadataRules } from "../metadata.ts";
import type { NamespaceTemplate } from "../namespace-template.ts";
import { packs } from "../packs.ts";
import { wantedChunks } from "../wanted.ts";
import { notesOf, type Note } from "./note.ts";

/** Compares what origins hold now with the notes of what was made of it. */
export interface OriginCheck {
  /** Before the first document: what is noted now. */
  readonly begin: (signal: AbortSignal) => Promise<void>;
  /** One document of a whole origin. */
  readonly see: (document: DocumentUpserted, signal: AbortSignal) => Promise<void>;
  /** After the last: what was noted before, of sources that were read whole, and was not seen has vanished. */
  readonly end: (
    reading: Pick<OriginReading, "isWhole" | "isGivenUp">,
    signal: AbortSignal,
  ) => Promise<void>;
  /** Documents whose notes still say something else than what was seen. */
  readonly suspects: () => Promise<readonly Suspect[]>;
}

/** A document that is not what its origin holds. */
export interface Suspect {
  readonly drift: Drift;
  readonly docKey: string;
  /** Names what the origin holds; empty: nothing. */
  readonly wanted: string;
  /** Of its notes. */
  readonly revision: number;
}

const pageSize = 200;

export function originCheck(options: {
  readonly state: StateStore;
  readonly embedder: Pick<Embedder, "fingerprint" | "dimensions">;
  readonly limits: VectorStore["limits"];
  readonly rules: MetadataRules;
  readonly namespace: NamespaceTemplate;
  /** Told of every text that a document makes. */
  readonly offer: (embedKey: string, text: string) => void;
}): OriginCheck {
  const { state, embedder, limits, rules, namespace, offer } = options;
  /** 52 bits of each docKey: a number costs less than a text, and a collision only hides a drift. */
  const seen = new Set<number>();
  const before = new Set<number>();
  const different = new Map<string, Pick<Suspect, "docKey" | "wanted"> & RecordName>();

  async function contentOf(document: DocumentUpserted, signal: AbortSignal): Promise<string> {
    const docKey = docKeyOf(document.source, document.subject);
    const place = { embedder, limits, rules, breathe: breather(signal) };
    const chunks = await wantedChunks(document, docKey, place);
    for (const { embedKey, embeddedText } of chunks) offer(embedKey, embeddedText);
    return fingerprintOf(namespace.of(document), chunks);
  }

  return {
    async begin(signal) {
      for await (const page of state.scan(manifestsPrefix)) {
        signal.throwIfAborted();
        for (const { key } of page) before.add(numberOf(docKeyIn(key)));
      }
    },

    async see(document, signal) {
      const { source, subject } = document;
      const docKey = docKeyOf(source, subject);
      seen.add(numberOf(docKey));
      let wanted: string;
      try {
        wanted = await contentOf(document, signal);
      } catch {
        signal.throwIfAborted();
        return; // what no index can hold is a dead letter, and no drift
      }
      const [note] = await notesOf(state, [docKey]);
      if (isNoted(note, wanted)) different.delete(docKey);
      else different.set(docKey, { docKey, wanted, source, subject });
    },

    async suspects() {
      const found: Suspect[] = [];
      for (const page of packs([...different.values()], { maxCount: pageSize })) {
        const notes = await notesOf(
          state,
          page.map(({ docKey }) => docKey),
        );
        for (const [at, { docKey, wanted, source, subject }] of page.entries()) {
          const note = notes[at];
          if (isNoted(note, wanted)) {
            different.delete(docKey);
            continue;
          }
          const isThere = note !== undefined && note.manifest.state !== "tombstone";
          const kind = wanted === gone ? "orphaned" : isThere ? "stale" : "missing";
          const place = note?.manifest.namespace ?? namespace.fixed ?? "";
          const drift: Drift = { kind, source, subject, place, ids: [] };
          found.push({ drift, docKey, wanted, revision: note?.revision ?? 0 });
        }
      }
      return found;
    },

    async end({ isWhole, isGivenUp }, signal) {
      for await (const page of state.scan(manifestsPrefix)) {
        signal.throwIfAborted();
        for (const entry of page) {
          const manifest = toManifest(entry);
          const docKey = docKeyIn(entry.key);
          const number = numberOf(docKey);
          // What came into being while the origin was read cannot have been seen there.
          if (seen.has(number) || !before.has(number)) continue;
          if (manifest === undefined || isGone(manifest) || !isWhole(manifest.source)) continue;
          const { source, subject } = manifest;
          different.set(docKey, { docKey, wanted: gone, source, subject });
        }
      }
      for (const [docKey, record] of different) if (isGivenUp(record)) different.delete(docKey);
    },
  };
}

/** What an origin holds that does not hold the record. */
const gone = "";

function isNoted(note: Note | undefined, wanted: string): boolean {
  if (wanted === gone) return note === undefined || isGone(note.manifest);
  return note !== undefined && note.manifest.state !== "tombstone" && contentIn(note) === wanted;
}

/** Nothing of it is in the index, or soon will be. */
function isGone(manifest: Manifest): boolean {
  return (
    manifest.state === "tombstone" ||
    manifest.deletedAt !== undefined ||
    idsIn(manifest, manifest.namespace).length === 0
  );
}

function contentIn({ manifest }: Note): string {
  return fingerprintOf(manifest.namespace, manifest.chunks);
}

function fingerprintOf(
  namespace: string,
  chunks: readonly {
    readonly id: string;
    readonly embedKey: string;
    readonly metadataHash: string;
  }[],
): string {
  const text = JSON.stringify([
    namespace,
    chunks.map(({ id, embedKey, metadataHash }) => [id, embedKey, metadataHash]),
  ]);
  return hash("sha256", text, "base64");
}

function numberOf(docKey: string): number {
  return parseInt(hash("sha256", docKey, "hex").slice(0, 13), 16);
}
