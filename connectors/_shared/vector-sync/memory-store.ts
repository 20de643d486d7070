import { FencedError, PoisonError, type StoreRun, type Vector, type VectorStore } from "sluice";

/** One write as the store applied it. */
export type LoggedWrite = { readonly lsn: bigint; readonly namespace: string } & (
  | { readonly op: "upsert"; readonly vectors: readonly Vector[] }
  | { readonly op: "remove"; readonly ids: readonly string[] }
);

export interface MemoryStore extends VectorStore {
  /** Every write since the beginning: replaying it gives every state the namespace was ever in. */
  readonly writes: readonly LoggedWrite[];
  /** What a namespace holds now, in id order. */
  readonly dump: (namespace: string) => readonly Vector[];
  /** Refuses every upsert that holds this id, as a server refuses a bad vector. */
  readonly poison: (id: string) => void;
  /** From now on readers see nothing newer, as of an index that is behind; `undefined`: all. */
  readonly seeUpTo: (lsn: bigint | undefined) => void;
}

/** A vector store in memory, as strict as a real one about what it takes. For tests. */
export function memoryStore(options: {
  readonly dimensions: number;
  readonly limits?: Partial<VectorStore["limits"]>;
}): MemoryStore {
  const { dimensions } = options;
  const limits = {
    maxVectors: 1_000,
    maxBytes: 2_000_000,
    maxDeleteIds: 1_000,
    maxFetchIds: 100,
    maxIdLength: 512,
    maxMetadataBytes: 40_960,
    ...options.limits,
  };
  const namespaces = new Map<string, Map<string, Vector>>();
  const writes: LoggedWrite[] = [];
  const poisoned = new Set<string>();
  let lag: { readonly lsn: bigint; readonly namespaces: typeof namespaces } | undefined;

  function visible(namespace: string): readonly Vector[] {
    return sorted((lag?.namespaces ?? namespaces).get(namespace));
  }
  function log(write: DistributiveOmit<LoggedWrite, "lsn">): { readonly lsn: bigint } {
    const logged = { ...write, lsn: BigInt(writes.length + 1) };
    writes.push(logged);
    apply(namespaces, logged);
    return { lsn: logged.lsn };
  }

  return {
    limits,
    writes,
    dump: (namespace) => sorted(namespaces.get(namespace)),
    poison: (id) => void poisoned.add(id),
    seeUpTo(lsn) {
      if (lsn === undefined) return void (lag = undefined);
      lag = { lsn, namespaces: new Map() };
      for (const write of writes) if (write.lsn <= lsn) apply(lag.namespaces, write);
    },
    describe: async () => ({ dimensions, metric: "cosine" }),
    async upsert(vectors, run) {
      check(run);
      const { namespace } = run;
      checkUpsert(vectors, { dimensions, limits, poisoned });
      const copies = vectors.map((vector) => structuredClone(vector));
      return log({ op: "upsert", namespace, vectors: copies });
    },
    async remove(ids, run) {
      check(run);
      const { namespace } = run;
      if (ids.length === 0 || ids.length > limits.maxDeleteIds)
        throw refusal(`a delete of ${ids.length} ids`);
      return namespaces.has(namespace) ? log({ op: "remove", namespace, ids }) : {};
    },
    async fetch(ids, run) {
      check(run);
      if (ids.length > limits.maxFetchIds) throw refusal(`a fetch of ${ids.length} ids`);
      const wanted = new Set(ids);
      return visible(run.namespace).filter(({ id }) => wanted.has(id));
    },
    async *list(prefix, run) {
      check(run);
      const ids = visible(run.namespace).map(({ id }) => id);
      const matching = ids.filter((id) => id.startsWith(prefix));
      for (let at = 0; at < matching.length; at += 100) yield matching.slice(at, at + 100);
    },
    async *namespaces({ signal }) {
      signal.throwIfAborted();
      yield [...namespaces].flatMap(([name, held]) => (held.size > 0 ? [name] : []));
    },
    async query({ vector, topK, filter }, run) {
      check(run);
      if (filter) throw refusal("a filter");
      const matches = visible(run.namespace)
        .map(({ id, values, metadata }) => ({ id, score: cosine(vector, values), metadata }))
        .toSorted((a, b) => b.score - a.score)
        .slice(0, topK);
      return { matches, lsn: lag?.lsn ?? BigInt(writes.length) };
    },
    close: async () => {},
  };
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

function apply(namespaces: Map<string, Map<string, Vector>>, write: LoggedWrite): void {
  const held = namespaces.get(write.namespace) ?? new Map<string, Vector>();
  namespaces.set(write.namespace, held);
  if (write.op === "upsert") for (const vector of write.vectors) held.set(vector.id, vector);
  else for (const id of write.ids) held.delete(id);
}

function sorted(held: ReadonlyMap<string, Vector> | undefined): readonly Vector[] {
  return [...(held?.values() ?? [])].toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

function checkUpsert(
  vectors: readonly Vector[],
  place: {
    readonly dimensions: number;
    readonly limits: VectorStore["limits"];
    readonly poisoned: ReadonlySet<string>;
  },
): void {
  const { dimensions, limits, poisoned } = place;
  if (vectors.length === 0 || vectors.length > limits.maxVectors)
    throw refusal(`an upsert of ${vectors.length} vectors`);
  if (new Set(vectors.map(({ id }) => id)).size < vectors.length) throw refusal("an id twice");
  let bytes = 0;
  for (const { id, values, metadata } of vectors) {
    if (poisoned.has(id)) throw refusal(`the vector ${id}`);
    if (id.length > limits.maxIdLength || !/^[\x21-\x7e]+$/.test(id)) throw refusal(`the id ${id}`);
    if (values.length !== dimensions) throw refusal(`${values.length} dimensions`);
    if (!values.every(Number.isFinite) || values.every((value) => value === 0))
      throw refusal(`the values of ${id}`);
    const size = Buffer.byteLength(JSON.stringify(metadata));
    if (size > limits.maxMetadataBytes) throw refusal(`${size} bytes of metadata`);
    if (!Object.values(metadata).every(isStorable)) throw refusal("null or nested metadata");
    bytes += size + id.length + [...values].join().length;
  }
  if (bytes > limits.maxBytes) throw refusal(`an upsert of ${bytes} bytes`);
}

function isStorable(value: unknown): boolean {
  if (Array.isArray(value)) return value.every((item) => typeof item === "string");
  return ["string", "boolean"].includes(typeof value) || Number.isFinite(value);
}

function cosine(a: Float32Array, b: Float32Array): number {
  let [dot, lengthA, lengthB] = [0, 0, 0];
  for (const [at, x] of a.entries()) {
    const y = b[at] ?? 0;
    dot += x * y;
    lengthA += x * x;
    lengthB += y * y;
  }
  return dot / Math.sqrt(lengthA * lengthB);
}

// Not among the codes that users meet.
const code = "memory-store.refused";

function check({ signal, deadline = Infinity }: StoreRun): void {
  signal.throwIfAborted();
  if (performance.now() >= deadline)
    throw new FencedError("memory store: the lease has ended.", { code });
}

function refusal(what: string): PoisonError {
  return new PoisonError(`memory store: refuses ${what}.`, { code });
}
