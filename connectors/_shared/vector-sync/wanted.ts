import { PoisonError, type DocumentUpserted, type Embedder, type VectorStore } from "sluice";
import { embedKeyOf, markOf, modelMarkOf } from "./content-hash.ts";
import { vectorIdOf } from "./doc-key.ts";
import type { Breathe } from "../text/breathe.ts";
import { embeddedText } from "../embedders/embedded-text.ts";
import { parseVector } from "./float32.ts";
import { toStored, type MetadataRules, type StoredMetadata } from "./metadata.ts";

/** A chunk as the newest version of its document wants it. */
export interface WantedChunk extends StoredMetadata {
  readonly id: string;
  readonly order: number;
  /** What is embedded: heading path and text. */
  readonly embeddedText: string;
  readonly embedKey: string;
  /** The vector that came with the event, of our model. */
  readonly given: Float32Array | undefined;
}

/** The chunks a document wants in the index. Throws `PoisonError` for one that no index can hold. */
export async function wantedChunks(
  event: DocumentUpserted,
  docKey: string,
  place: {
    readonly embedder: Pick<Embedder, "fingerprint" | "dimensions">;
    readonly limits: VectorStore["limits"];
    readonly rules: MetadataRules;
    /** A document may have ten thousand chunks: leases must be renewed meanwhile. */
    readonly breathe: Breathe;
  },
): Promise<readonly WantedChunk[]> {
  const { embedder, limits, rules, breathe } = place;
  const model = modelMarkOf(embedder.fingerprint);
  const seen = new Set<string>();
  const wanted: WantedChunk[] = [];
  for (const [order, chunk] of (event.data.chunks ?? []).entries()) {
    await breathe();
    checkId(vectorIdOf(docKey, chunk.id), limits.maxIdLength);
    if (seen.has(chunk.id))
      throw new PoisonError(`vectors: ${event.subject} has two chunks with the id ${chunk.id}.`, {
        code: "vectors.duplicate-chunk",
        fix: "Give every chunk of a document an id of its own: hash~occurrence.",
      });
    seen.add(chunk.id);
    const text = embeddedText(chunk);
    const embedKey = embedKeyOf(embedder.fingerprint, text);
    const isOurs = chunk.vector !== undefined && chunk.embedKey === embedKey;
    const stored = toStored(
      {
        ours: {
          _doc: docKey,
          _src: event.source,
          _subject: event.subject,
          _m: model,
          ...(isOwnPartition(event) && { _pk: event.partitionkey }),
        },
        text: chunk.text,
        fields: { ...event.data.metadata, ...chunk.metadata },
      },
      { maxBytes: limits.maxMetadataBytes, version: event.sequence, time: event.time, rules },
    );
    const { metadataHash } = stored;
    wanted.push({
      ...stored,
      id: chunk.id,
      order,
      embeddedText: text,
      embedKey,
      given: isOurs ? parseVector(chunk.vector, embedder.dimensions) : undefined,
      metadata: { ...stored.metadata, _h: markOf({ embedKey, metadataHash }), _t: event.time },
    });
  }
  return wanted;
}

/** A sweep goes by partition keys: one that cannot be told from the record's name is stored. */
function isOwnPartition({ partitionkey, source, subject }: DocumentUpserted): boolean {
  return partitionkey !== `${source}\n${subject}`;
}

function checkId(id: string, maxLength: number): void {
  if (id.length <= maxLength && /^[\x21-\x7e]+$/.test(id)) return;
  throw new PoisonError(
    `vectors: the vector id ${JSON.stringify(id)} is not 1 to ${maxLength} printable ASCII characters.`,
    { code: "vectors.bad-chunk-id", fix: "Give chunks short ASCII ids: hash~occurrence." },
  );
}
