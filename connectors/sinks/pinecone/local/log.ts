export interface Served {
  readonly method: string;
  /** With the query string. */
  readonly path: string;
  readonly bytes: number;
  /** 0 where the connection was cut or left hanging. */
  readonly status: number;
}

interface Logged extends Served {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly ms: number;
  readonly operation: string | undefined;
  readonly index: string | undefined;
  readonly namespace: string | undefined;
  /** Of the vectors it names, the first ones. */
  readonly ids: readonly string[];
}

/** What was asked, for tests that look afterwards. */
export interface RequestLog {
  /** A request began; call what it returns when it is answered. */
  readonly begin: (about: Omit<Logged, "at" | "ms" | "status">) => (status: number) => void;
  /** The last 1,000 requests, oldest first, in the order in which they were answered. */
  readonly requests: () => readonly Logged[];
  readonly summary: () => {
    readonly answered: number;
    /** By operation, and `other`. */
    readonly operations: Readonly<Record<string, number>>;
    readonly statuses: Readonly<Record<string, number>>;
    readonly peakConcurrency: number;
    /** Ids that two requests wrote to one namespace at the same time, the first ones. */
    readonly idsWrittenTwiceAtOnce: readonly string[];
  };
  readonly clear: () => void;
}

const maxKept = 1_000;
const maxIdsKept = 20;
const writes = new Set(["upsert", "update", "delete"]);

export function openLog(): RequestLog {
  const kept: Logged[] = [];
  const operations = new Map<string, number>();
  const statuses = new Map<string, number>();
  const inFlight = new Map<string, number>();
  const twice = new Set<string>();
  let answered = 0;
  let open = 0;
  let peak = 0;

  const count = (map: Map<string, number>, key: string, by = 1): number => {
    const value = (map.get(key) ?? 0) + by;
    if (value === 0) map.delete(key);
    else map.set(key, value);
    return value;
  };

  return {
    begin: (about) => {
      const at = Date.now();
      const started = performance.now();
      peak = Math.max(peak, ++open);
      const written = writes.has(about.operation ?? "") ? about.ids : [];
      const keys = written.map((id) => `${about.index ?? ""}/${about.namespace ?? ""}/${id}`);
      for (const key of keys) if (count(inFlight, key) > 1 && twice.size < maxKept) twice.add(key);
      let ended = false;
      return (status) => {
        if (ended) return;
        ended = true;
        open--;
        answered++;
        for (const key of keys) count(inFlight, key, -1);
        count(operations, about.operation ?? "other");
        count(statuses, String(status));
        const ms = Math.round((performance.now() - started) * 10) / 10;
        kept.push({ ...about, ids: about.ids.slice(0, maxIdsKept), at, ms, status });
        if (kept.length > maxKept) kept.shift();
      };
    },
    requests: () => [...kept],
    summary: () => ({
      answered,
      operations: Object.fromEntries(operations),
      statuses: Object.fromEntries(statuses),
      peakConcurrency: peak,
      idsWrittenTwiceAtOnce: [...twice],
    }),
    clear: () => {
      kept.length = 0;
      for (const map of [operations, statuses]) map.clear();
      twice.clear();
      answered = 0;
      peak = open;
    },
  };
}

/** The ids of vectors that a request names. */
export function idsOf(body: unknown, query: URLSearchParams): readonly string[] {
  const { vectors, ids, id } = Object(body) as Readonly<Record<string, unknown>>;
  const named = Array.isArray(vectors)
    ? vectors.map((vector: unknown) => (Object(vector) as { id?: unknown }).id)
    : [];
  const listed: readonly unknown[] = Array.isArray(ids) ? ids : [];
  return [...named, ...listed, id, ...query.getAll("ids")].filter((one) => typeof one === "string");
}
