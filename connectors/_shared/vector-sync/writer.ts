import {
  ConfigError,
  isRecordChange,
  PartialError,
  PoisonError,
  RetryableError,
  type CollectionCleared,
  type Context,
  type DocumentUpserted,
  type Embedder,
  type RecordDeleted,
  type SluiceEvent,
  type StateStore,
  type VectorStore,
  type Writer,
  type WriteRun,
} from "sluice";
import { applier } from "./apply.ts";
import { clearer } from "./clear.ts";
import { embeddingPass } from "./embedding-pass.ts";
import { holder } from "./hold.ts";
import { openJournal } from "./journal.ts";
import { defaultRules, type MetadataRules } from "./metadata.ts";
import type { NamespaceTemplate } from "./namespace-template.ts";
import { openNamespaces } from "./namespaces.ts";
import { packs } from "./packs.ts";
import { together } from "./requests.ts";
import { shareWriter, type DocumentChange } from "./share.ts";
import { vectorCache } from "./vector-cache.ts";
import { watchedStore } from "./watched-store.ts";
import { visibility, type Written } from "./visibility.ts";

export interface VectorWriterOptions {
  readonly store: VectorStore;
  readonly embedder: Embedder;
  readonly state: StateStore;
  /** Names the index: state that tells of another one is not believed. */
  readonly target: string;
  readonly namespace: NamespaceTemplate;
  readonly log: Context<unknown>["log"];
  readonly meter: Context<unknown>["meter"];
  /** Aborts when the connector must stop. */
  readonly signal: AbortSignal;
  /** `indexed`: a write is done when readers of the index see it. Default `written`. */
  readonly acknowledge?: "written" | "indexed";
  /** How much of what a partition holds a sweep or drop may delete. Default 0.2. */
  readonly maxDeleteRatio?: number;
  /** How long a deleted document's version is remembered: longer than anything may be redelivered. Default 30 days. */
  readonly tombstoneMs?: number;
  /** Size of the vector cache in state; 0 turns it off. Default 64 MiB. */
  readonly vectorCacheBytes?: number;
  readonly metadata?: MetadataRules;
  /** Milliseconds a write may stay invisible before waiting for it is given up. Default 60 s. */
  readonly visibleWithinMs?: number;
}

/** Vectors, texts and metadata held in memory at once; a larger call is worked off in shares. */
const maxShareBytes = 32 * 1024 * 1024;
const chunkBytes = 4 * 1024;
/** Requests to the embedder a share: what a crash can cost again stays small, whatever the call. */
const embedCallsAShare = 8;

type Failures = Map<number, RetryableError | PoisonError>;

/**
 * Keeps an index equal to the newest version of every document (Invariant 5). Owns `store` and
 * `embedder`: `close` closes them. `write` may run for several partitions at once.
 */
export function vectorWriter(options: VectorWriterOptions): Writer {
  const { embedder, state, target, namespace, log, meter, signal } = options;
  const store = watchedStore(options.store, embedder);
  const { acknowledge = "written", metadata = defaultRules, visibleWithinMs } = options;
  const { tombstoneMs = 30 * 24 * 3_600_000, vectorCacheBytes = 64 * 1024 * 1024 } = options;
  const { dimensions, fingerprint: model } = embedder;
  const chunksAShare = Math.min(
    maxShareBytes / (dimensions * 4 + chunkBytes),
    embedder.maxTexts * embedCallsAShare,
  );
  const visible = visibility({
    store,
    dimensions,
    log,
    meter,
    signal,
    ...(visibleWithinMs !== undefined && { patienceMs: visibleWithinMs }),
  });
  const journal = openJournal(state);
  const { fixed } = namespace;
  const places = { store, embedder, state, journal, visible, target, fixed, log };
  const namespaces = openNamespaces(places);
  const hold = holder({ store, state, journal, namespaces });
  const apply = applier({ store, state, journal, visible, meter, tombstoneMs });
  const clear = clearer({
    state,
    model,
    hold,
    apply,
    maxDeleteRatio: options.maxDeleteRatio ?? 0.2,
  });
  const writeShare = shareWriter({
    store,
    state,
    journal,
    visible,
    hold,
    apply,
    embed: embeddingPass({
      embedder,
      store,
      state,
      cache: vectorCache({ state, dimensions, maxBytes: vectorCacheBytes }),
      meter,
    }),
    embedder,
    namespace,
    rules: metadata,
    log,
    meter,
  });

  return {
    async write(events, writeRun) {
      const run = withSignal(writeRun, signal);
      run.signal.throwIfAborted();
      if (fixed === undefined) await namespaces.openAll(run);
      const [first] = events;
      if (events.length === 1 && first !== undefined && isClear(first)) {
        await acknowledged(await clear(first, run), run);
        return;
      }
      const failures: Failures = new Map();
      const changes: (readonly [number, DocumentChange])[] = [];
      for (const [at, event] of events.entries())
        if (isDocumentChange(event)) changes.push([at, event]);
        else failures.set(at, notADocument(event));
      for (const share of packs(changes, {
        maxCount: Infinity,
        maxSize: chunksAShare,
        sizeOf: ([, change]) => chunkCountOf(change),
      }))
        await acknowledged(await writeShare(share, run, failures), run);
      if (failures.size === 0) return;
      throw new PartialError(`vectors: ${failures.size} of ${events.length} documents failed.`, {
        code: "vectors.partly-written",
        failures,
      });
    },
    async close() {
      visible.close();
      await Promise.all([store.close(), embedder.close()]);
    },
  };

  async function acknowledged(written: ReadonlyMap<string, Written>, run: WriteRun): Promise<void> {
    if (acknowledge === "indexed")
      await together([...written.values()].map((write) => visible.seen(write, run.signal)));
  }
}

/** The run with one more signal. Not a copy of `deadline`: it moves as the lease is renewed. */
function withSignal(run: WriteRun, signal: AbortSignal): WriteRun {
  return {
    signal: AbortSignal.any([run.signal, signal]),
    fence: run.fence,
    redelivered: run.redelivered,
    get deadline() {
      return run.deadline;
    },
  };
}

function isClear(event: SluiceEvent): event is CollectionCleared {
  return isRecordChange(event) && event.type === "dev.sluice.collection.cleared";
}

function isDocumentChange(event: SluiceEvent): event is DocumentUpserted | RecordDeleted {
  if (!isRecordChange(event)) return false;
  if (event.type === "dev.sluice.document.upserted") {
    if (event.data.chunks !== undefined) return true;
    throw new ConfigError(`vectors: the document ${event.subject} arrived without chunks.`, {
      code: "vectors.not-chunked",
      fix: 'Add { "use": "chunk" } to the transforms before this sink.',
    });
  }
  return event.type === "dev.sluice.record.deleted";
}

function notADocument(event: SluiceEvent): PoisonError {
  return new PoisonError(`vectors: an event of type ${event.type} is not a document.`, {
    code: "vectors.not-a-document",
    fix: 'Add { "use": "render" } or { "use": "parse" } to the transforms before this sink.',
  });
}

function chunkCountOf(change: DocumentChange): number {
  return change.type === "dev.sluice.record.deleted" ? 0 : (change.data.chunks?.length ?? 0);
}
