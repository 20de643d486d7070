import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { deleted, version, type Chunk, type DocumentUpserted, type Embedder } from "sluice";
import type { Metadata, RecordDeleted, StateStore, VectorStore, Version } from "sluice";
import { fakes } from "sluice/testing";
import { openEmbedder } from "../embedders/embedding.ts";
import { docKeyOf } from "./doc-key.ts";
import { toBase64 } from "./float32.ts";
import { memoryStore, type MemoryStore } from "./memory-store.ts";
import { fixedNamespace } from "./namespace-template.ts";
import { vectorWriter, type VectorWriterOptions } from "./writer.ts";

export const namespace = "ns";
export const source = "/file/notes";
const time = "2026-01-01T00:00:00Z";

export function at(position: number, epoch = 1): Version {
  return version({ epoch, position: BigInt(position), rank: 1, tail: 0 });
}

/** A document event whose chunks are the given texts. */
export function doc(
  subject: string,
  texts: readonly (string | Partial<Chunk>)[],
  sequence: Version,
  more: { readonly source?: string; readonly metadata?: Metadata } = {},
): DocumentUpserted {
  const from = more.source ?? source;
  const seen = new Map<string, number>();
  const chunks = texts.map((given): Chunk => {
    const { text = "", ...rest } = typeof given === "string" ? { text: given } : given;
    const occurrence = seen.get(text) ?? 0;
    seen.set(text, occurrence + 1);
    const id = `${hash("sha256", text, "hex").slice(0, 16)}~${occurrence.toString(36)}`;
    return { id, text, start: 0, end: text.length, ...rest };
  });
  return {
    specversion: "1.0",
    id: `${subject}@${sequence}~chunk`,
    type: "dev.sluice.document.upserted",
    source: from,
    subject,
    sequence,
    time,
    partitionkey: `${from}\n${subject}`,
    data: {
      key: subject,
      text: chunks.map(({ text }) => text).join("\n\n"),
      metadata: more.metadata ?? { uri: `file:${subject}` },
      chunks,
      lineage: ["chunk@1.0.0:abc"],
    },
  };
}

export function gone(subject: string, sequence: Version, from = source): RecordDeleted {
  return deleted({ source: from, key: subject, subject, version: sequence, time, meta: {} });
}

export interface World {
  readonly store: MemoryStore;
  readonly state: StateStore;
  readonly embedder: Embedder;
  readonly counters: ReadonlyMap<string, number>;
  readonly open: (parts?: Partial<VectorWriterOptions>) => ReturnType<typeof vectorWriter>;
  /** Texts embedded since the last call. */
  readonly embedded: () => number;
  /** Write requests since the last call. */
  readonly written: () => number;
  readonly advance: (ms: number) => void;
}

/** An empty index, empty state and a counting embedder. */
export async function world(limits: Partial<VectorStore["limits"]> = {}): Promise<World> {
  const dimensions = 64;
  const store = memoryStore({ dimensions, limits });
  const { state, advance } = fakes.state();
  const context = fakes.context({ config: {}, state });
  const { log, meter, signal, counters } = context;
  const hashing = await openEmbedder({ provider: "hash", dimensions }, context);
  let texts = 0;
  let lastTexts = 0;
  let lastWrites = 0;
  const embedder: Embedder = {
    ...hashing,
    embed: (some, run) => {
      texts += some.length;
      return hashing.embed(some, run);
    },
  };
  return {
    store,
    state,
    embedder,
    counters,
    advance,
    open: (parts) =>
      vectorWriter({
        store,
        embedder,
        state,
        target: "kb",
        namespace: fixedNamespace(namespace),
        log,
        meter,
        signal,
        ...parts,
      }),
    embedded: () => {
      const since = texts - lastTexts;
      lastTexts = texts;
      return since;
    },
    written: () => {
      const since = store.writes.length - lastWrites;
      lastWrites = store.writes.length;
      return since;
    },
  };
}

/** What a namespace holds, without what says when a chunk was written, comparable. */
export function contentOf(store: MemoryStore, name = namespace) {
  return store.dump(name).map(({ id, values, metadata: { _v, _t, ...metadata } }) => ({
    id,
    values: toBase64(values),
    metadata,
  }));
}

/** The same for every namespace that was ever written to and is not empty. */
function contentsOf(store: MemoryStore) {
  const names = [...new Set(store.writes.map((write) => write.namespace))].toSorted();
  const contents = names.map((name) => [name, contentOf(store, name)] as const);
  return contents.filter(([, content]) => content.length > 0);
}

/** The index must equal what the newest documents alone make in an empty one (Invariant 5). */
export async function assertEqualsOracle(
  store: MemoryStore,
  live: readonly DocumentUpserted[],
  parts: Partial<VectorWriterOptions> = {},
): Promise<void> {
  const expected = oracles.get(live) ?? (await oracle(live, parts));
  oracles.set(live, expected);
  assert.deepEqual(contentsOf(store), expected);
}

const oracles = new WeakMap<readonly DocumentUpserted[], ReturnType<typeof contentsOf>>();

async function oracle(live: readonly DocumentUpserted[], parts: Partial<VectorWriterOptions>) {
  const empty = await world();
  if (live.length > 0) await empty.open(parts).write(live, fakes.writeRun());
  return contentsOf(empty.store);
}

export function idsOf(event: DocumentUpserted): readonly string[] {
  const docKey = docKeyOf(event.source, event.subject);
  return (event.data.chunks ?? []).map(({ id }) => `${docKey}#${id}`);
}

/**
 * Replays every write since `from`: at each, a document that goes from one text, or one namespace, to
 * another has all its old chunks or all its new ones (Invariant 6).
 */
export function assertNeverEmpty(
  store: MemoryStore,
  from: number,
  changes: readonly { readonly before: DocumentUpserted; readonly after: DocumentUpserted }[],
  homeOf: (event: DocumentUpserted) => string = () => namespace,
): void {
  const present = new Set<string>();
  const holds = (event: DocumentUpserted) =>
    idsOf(event).every((id) => present.has(`${homeOf(event)}\n${id}`));
  for (const [at, write] of store.writes.entries()) {
    const ids = write.op === "upsert" ? write.vectors.map(({ id }) => id) : write.ids;
    for (const id of ids)
      if (write.op === "upsert") present.add(`${write.namespace}\n${id}`);
      else present.delete(`${write.namespace}\n${id}`);
    if (at < from) continue;
    for (const { before, after } of changes)
      if (idsOf(after).length > 0)
        assert.ok(
          holds(before) || holds(after),
          `${before.subject} has neither its old nor its new chunks after write ${at}`,
        );
  }
}

/** A seeded generator of numbers in [0, 1). */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
