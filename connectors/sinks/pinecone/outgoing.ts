import { PoisonError, type Json, type JsonObject } from "sluice";

export const limits = {
  maxVectors: 200,
  maxBytes: 1_800_000,
  maxDeleteIds: 1_000,
  maxFetchIds: 100,
  maxIdLength: 512,
  maxMetadataBytes: 40_960,
};

// Ids of a fetch travel in the URL, and servers take 16 KiB of headers.
const maxFetchQueryBytes = 6_000;

export function checkId(id: string): void {
  // Printable ASCII without the space: fetch and list refuse spaces.
  if (!/^[\x21-\x7e]{1,512}$/.test(id)) {
    throw invalid(
      `the id ${JSON.stringify(id)} is not 1 to ${limits.maxIdLength} printable ASCII characters`,
    );
  }
}

/** Cuts ids into requests by the bytes they take in a URL. */
export function* fetchPacks(ids: readonly string[]): Generator<readonly string[]> {
  let pack: string[] = [];
  let bytes = 0;
  for (const id of ids) {
    checkId(id);
    const size = "&ids=".length + encodeURIComponent(id).length;
    if (
      pack.length >= limits.maxFetchIds ||
      (pack.length > 0 && bytes + size > maxFetchQueryBytes)
    ) {
      yield pack;
      pack = [];
      bytes = 0;
    }
    pack.push(id);
    bytes += size;
  }
  if (pack.length > 0) yield pack;
}

/** The filter with every operator written out: the client refuses `{ n: 0 }`. `undefined` for an empty one. */
export function toSentFilter(filter: JsonObject | undefined): { [key: string]: Json } | undefined {
  const entries = Object.entries(filter ?? {});
  if (entries.length === 0) return undefined;
  return Object.fromEntries(
    entries.map(([key, value]): [string, Json] => {
      if (Array.isArray(value)) {
        return [key, value.map((part) => (isObject(part) ? (toSentFilter(part) ?? part) : part))];
      }
      return [key, isObject(value) ? value : { $eq: value }];
    }),
  );
}

function isObject(value: Json): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function invalid(what: string): PoisonError {
  return new PoisonError(`pinecone: ${what}.`, {
    code: "pinecone.invalid",
    fix: "Correct the record, then replay the dead letter.",
  });
}
