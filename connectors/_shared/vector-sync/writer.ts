import {
  ConfigError,
  isRecordChange,
  PartialError,
  PoisonError,
  type CollectionCleared,
  type Context,
  type DocumentUpserted,
  type Embedder,
  type RecordDeleted,
  type RetryableError,
  type SluiceEvent,
  type StateStore,
  type VectorStore,
  type Writer,
  type WriteRun,
} from "sluice";
import { breather, type Breathe } from "../text/breathe.ts";
import { applier } from "./apply.ts";
import { clear } from "./clear.ts";
import { docKeyOf, vectorIdOf } from "./doc-key.ts";
import { embeddingPass } from "./embedding-pass.ts";
import { checkLease } from "./lease-end.ts";
import { manifestKeyOf, toHeld, type Held } from "./manifest.ts";
import { namespaceCheck } from "./namespace.ts";
import { packs } from "./packs.ts";
import { judge, type Plan } from "./plan.ts";
import { vectorCache } from "./vector-cache.ts";
import { wantedChunks } from "./wanted.ts";

export interface VectorWriterOptions {
  readonly store: VectorStore;
  readonly embedder: Embedder;
  readonly state: StateStore;
  readonly namespace: string;
  readonly log: Context<unknown>["log"];
  readonly meter: Context<unknown>["meter"];
  /** Aborts when the connector must stop. */
  readonly signal: AbortSignal;
  /** How long a deleted document's version is remembered: longer than anything may be redelivered. Default 7 days. */
  readonly tombstoneMs?: number;
  /** Size of the vector cache in state; 0 turns it off. Default 64 MiB. */
  readonly vectorCacheBytes?: number;
}

/** Vectors, texts and metadata held in memory at once; a larger call is worked off in shares. */
const maxShareBytes = 32 * 1024 * 1024;
const chunkBytes = 4 * 1024;
/** Requests to the embedder a share: what a crash can cost again stays small, whatever the call. */
const embedCallsAShare = 8;
const maxLists = 8;

type DocumentChange = DocumentUpserted | RecordDeleted;
type Failures = Map<number, RetryableError | PoisonError>;

/**
 * Keeps a namespace equal to the newest version of every document (Invariant 5). Owns `store` and
 * `embedder`: `close` closes them. `write` may run for several partitions at once.
 */
export function vectorWriter(options: VectorWriterOptions): Writer {
  const { store, embedder, state, namespace, log, meter } = options;
  const { tombstoneMs = 7 * 24 * 3_600_000, vectorCacheBytes = 64 * 1024 * 1024 } = options;
  const { dimensions, fingerprint: model } = embedder;
  const { limits } = store;
  const chunksAShare = Math.min(
    maxShareBytes / (dimensions * 4 + chunkBytes),
    embedder.maxTexts * embedCallsAShare,
  );
  const cache = vectorCache({ state, dimensions, maxBytes: vectorCacheBytes });
  const embed = embeddingPass({ embedder, store, cache, namespace, meter });
  const apply = applier({ store, state, namespace, meter, tombstoneMs });
  const hasAllManifests = namespaceCheck({ store, embedder, state, namespace, log });

  /** Manifests of the documents, in one round trip; for unknown ones in an index we did not begin, what it holds. */
  async function hold(changes: readonly DocumentChange[], run: WriteRun): Promise<Held[]> {
    const isComplete = await hasAllManifests(run);
    const docKeys = changes.map(({ source, subject }) => docKeyOf(source, subject));
    const entries = await state.get(docKeys.map((key) => manifestKeyOf(namespace, key)));
    const held = docKeys.map((docKey, at) => toHeld(docKey, entries[at]));
    if (isComplete) return held;
    for (const pack of packs([...held.keys()], { maxCount: maxLists }))
      await Promise.all(
        pack.map(async (at) => {
          const one = held[at];
          if (one !== undefined && one.revision === 0)
            held[at] = { ...one, uncertain: await chunkIdsOf(one.docKey, run) };
        }),
      );
    return held;
  }

  async function chunkIdsOf(docKey: string, run: WriteRun): Promise<string[]> {
    checkLease(run);
    const prefix = vectorIdOf(docKey, "");
    const ids: string[] = [];
    for await (const page of store.list(prefix, { namespace, signal: run.signal }))
      for (const id of page) ids.push(id.slice(prefix.length));
    return ids;
  }

  async function planFor(
    change: DocumentChange,
    held: Held,
    breathe: Breathe,
  ): Promise<Plan | undefined> {
    const { source, subject, partitionkey, sequence: version } = change;
    const identity = { source, subject, partitionkey, version, model };
    const wanted =
      change.type === "dev.sluice.record.deleted"
        ? "delete"
        : {
            chunks: await wantedChunks(change, held.docKey, { embedder, limits, breathe }),
            lineage: change.data.lineage,
          };
    const verdict = judge(held, identity, wanted);
    if (verdict.kind === "stale") meter("stale_dropped", 1);
    return verdict.kind === "apply" ? verdict.plan : undefined;
  }

  async function writeShare(
    share: readonly (readonly [at: number, change: DocumentChange])[],
    run: WriteRun,
    failures: Failures,
  ): Promise<void> {
    const held = await hold(
      share.map(([, change]) => change),
      run,
    );
    const breathe = breather(run.signal);
    const indexOf = new Map<Plan, number>();
    for (const [place, [at, change]] of share.entries()) {
      const own = held[place];
      if (own === undefined) continue;
      try {
        const plan = await planFor(change, own, breathe);
        if (plan !== undefined) indexOf.set(plan, at);
      } catch (error) {
        if (!(error instanceof PoisonError)) throw error;
        failures.set(at, error);
      }
    }
    const plans = [...indexOf.keys()];
    const failed = await apply(plans, await embed(plans, run), run);
    for (const [plan, error] of failed) failures.set(indexOf.get(plan) ?? -1, error);
    log.debug(
      { documents: share.length, changed: plans.length, failed: failed.size },
      "batch written",
    );
  }

  return {
    async write(events, writeRun) {
      const run = withSignal(writeRun, options.signal);
      const [first] = events;
      if (events.length === 1 && first !== undefined && isClear(first))
        return clear(first, { state, namespace, model, apply }, run);

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
        await writeShare(share, run, failures);
      if (failures.size === 0) return;
      throw new PartialError(`vectors: ${failures.size} of ${events.length} documents failed.`, {
        code: "vectors.partly-written",
        failures,
      });
    },
    async close() {
      await Promise.all([store.close(), embedder.close()]);
    },
  };
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

function isDocumentChange(event: SluiceEvent): event is DocumentChange {
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
