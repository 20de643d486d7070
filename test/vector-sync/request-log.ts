import assert from "node:assert/strict";

/** A write as the server applied it. */
export interface AppliedWrite {
  readonly namespace: string;
  readonly lsn: number;
  readonly upserted: readonly string[];
  readonly deleted: readonly string[];
}

/** Every request of this process to a vector API, with what every test must hold to. */
export interface RequestLog {
  /** Whose requests to listen to; before, all pass by. */
  readonly watch: (origin: string) => void;
  /** For the server: what it applied, in order. */
  readonly onWrite: (write: {
    readonly path: string;
    readonly body: string;
    readonly lsn: number;
  }) => void;
  readonly writes: () => readonly AppliedWrite[];
  /** Attempts by kind since the last call: `upsert`, `delete`, `fetch`, `list`, `query`. */
  readonly attempts: () => ReadonlyMap<string, number>;
  /** Most requests that were under way at once since the last call. */
  readonly peak: () => number;
  /** Throws when a request broke a rule that holds for all: bounds of the API, no id twice at once. */
  readonly check: () => void;
  /** Not listened to. */
  readonly fetch: typeof fetch;
  readonly close: () => void;
}

/** What the sink deletes to learn how far the index has come: no document has it. */
const absentId = "#";

/** Listens to this process's `fetch`: what the server cannot see is what is under way at once. */
export function openRequestLog(): RequestLog {
  const real = globalThis.fetch;
  const broken: string[] = [];
  const writes: AppliedWrite[] = [];
  let attempts = new Map<string, number>();
  const flying = new Map<string, number>();
  let watched = "";
  let underWay = 0;
  let peak = 0;

  const listening: typeof fetch = async (input, init) => {
    const { pathname, search, origin } = new URL(input instanceof Request ? input.url : input);
    if (origin !== watched) return real(input, init);
    const kind = /\/i\/[^/]+\/(?:vectors\/)?(\w+)$/.exec(pathname)?.[1];
    if (kind === undefined) return real(input, init);
    attempts.set(kind, (attempts.get(kind) ?? 0) + 1);
    const text = bodyText(init?.body);
    const ids = idsOf(kind, text);
    inspect(kind, { text, ids, search });
    const { namespace = "" } = text === "" ? {} : (JSON.parse(text) as { namespace?: string });
    const keys = ids.filter((id) => id !== absentId).map((id) => `${namespace}\n${id}`);
    if (kind === "upsert" || kind === "delete")
      for (const key of keys) {
        if (flying.has(key)) broken.push(`in two requests at once: ${key}`);
        flying.set(key, (flying.get(key) ?? 0) + 1);
      }
    peak = Math.max(peak, ++underWay);
    try {
      return await real(input, init);
    } finally {
      underWay -= 1;
      for (const key of keys) flying.delete(key);
    }
  };
  globalThis.fetch = listening;

  function inspect(
    kind: string,
    {
      text,
      ids,
      search,
    }: { readonly text: string; readonly ids: readonly string[]; readonly search: string },
  ): void {
    if (new Set(ids).size < ids.length) broken.push(`an id twice in one ${kind}`);
    if (kind === "upsert" && (ids.length > 1_000 || Buffer.byteLength(text) > 2_000_000))
      broken.push(`an upsert of ${ids.length} vectors, ${Buffer.byteLength(text)} bytes`);
    if (kind === "delete" && (ids.length === 0 || ids.length > 1_000))
      broken.push(`a delete of ${ids.length} ids`);
    if (kind === "delete" && text.includes('"filter"')) broken.push("a delete by filter");
    if (kind === "fetch" && search.length > 8_000) broken.push(`a URL of ${search.length} bytes`);
  }

  return {
    watch: (origin) => void (watched = origin),
    onWrite({ path, body, lsn }) {
      const {
        namespace = "",
        vectors = [],
        ids = [],
      } = JSON.parse(body || "{}") as {
        namespace?: string;
        vectors?: { id: string }[];
        ids?: string[];
      };
      if (/\/vectors\/(upsert|delete)$/.test(path))
        writes.push({ namespace, lsn, upserted: vectors.map(({ id }) => id), deleted: ids });
    },
    writes: () => writes,
    attempts() {
      const since = attempts;
      attempts = new Map();
      return since;
    },
    peak() {
      const since = peak;
      peak = 0;
      return since;
    },
    fetch: real,
    check: () => assert.deepEqual(broken, []),
    // Logs of several servers lie over each other: each must find its own again.
    close: () => void (watched = ""),
  };
}

function bodyText(body: RequestInit["body"]): string {
  if (typeof body === "string") return body;
  return body instanceof Uint8Array ? Buffer.from(body).toString() : "";
}

function idsOf(kind: string, text: string): readonly string[] {
  if (kind !== "upsert" && kind !== "delete") return [];
  const { vectors = [], ids = [] } = JSON.parse(text) as {
    vectors?: { id: string }[];
    ids?: string[];
  };
  return [...vectors.map(({ id }) => id), ...ids];
}
