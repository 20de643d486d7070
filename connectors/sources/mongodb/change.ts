import { endOfName, field, isName, lengthOf, textAt, type, type Value } from "./bson.ts";
import type { Token } from "./token.ts";

/** The name of a collection, taken apart. */
export interface Namespace {
  readonly database: string;
  readonly collection: string;
}

/** A change event as the server sent it: what is large stays bytes. */
export interface Change {
  /** `insert`, `update`, `replace`, `delete`, `drop`, `rename`, `dropDatabase`, `invalidate`, or a newer one. */
  readonly operation: string;
  readonly token: Token;
  /** Cluster time, see `timeOf`. */
  readonly time: bigint;
  /** Milliseconds since 1970, of the server's clock; servers from 6.0 on. */
  readonly wallMs: number | undefined;
  /** Without a collection where a database is dropped. */
  readonly namespace: Namespace | undefined;
  /** Of a rename. */
  readonly to: Namespace | undefined;
  /** The record's `_id`. */
  readonly key: Value | undefined;
  readonly document: Value | undefined;
  readonly before: Value | undefined;
  /** `session:number`, shared by all changes of a transaction. */
  readonly transaction: string | undefined;
  /** One of the pieces that a large event comes in, from 1. */
  readonly fragment: { readonly number: number; readonly of: number } | undefined;
}

/** Collections with made-up names come and go: what is remembered of them is bounded. */
const mostNamespaces = 10_000;

/** Reads change events. Equal namespaces are mostly one object. */
export function changeReader(): (event: Value) => Change {
  const known = new Map<string, Namespace>();
  const namespaceAt = (bytes: Buffer, at: number): Namespace => {
    const text = bytes.toString("latin1", at, at + bytes.readInt32LE(at));
    const before = known.get(text);
    if (before) return before;
    const document = { bytes, type: type.object, at };
    const [database, collection] = [field(document, "db"), field(document, "coll")];
    const fresh = {
      database: database ? textAt(bytes, database.at) : "",
      collection: collection ? textAt(bytes, collection.at) : "",
    };
    if (known.size === mostNamespaces) known.clear();
    known.set(text, fresh);
    return fresh;
  };

  return ({ bytes, at: from }) => {
    const change: Writable<Change> = {
      operation: "",
      token: { data: "" },
      time: 0n,
      wallMs: undefined,
      namespace: undefined,
      to: undefined,
      key: undefined,
      document: undefined,
      before: undefined,
      transaction: undefined,
      fragment: undefined,
    };
    let session: Value | undefined;
    let number: bigint | undefined;
    let at = from + 4;
    for (let kind = bytes[at] ?? 0; kind !== 0; kind = bytes[at] ?? 0) {
      const end = endOfName(bytes, at + 1);
      const start = at + 1;
      const is = (name: string) => isName(bytes, start, end, name);
      at = end + 1;
      // Lengths tell nearly all of them apart, without reading a text.
      switch (end - start) {
        case 2:
          if (is("ns")) change.namespace = namespaceAt(bytes, at);
          else if (is("to")) change.to = namespaceAt(bytes, at);
          break;
        case 3:
          if (is("_id")) change.token = tokenAt(bytes, at);
          break;
        case 4:
          if (is("lsid")) session = { bytes, type: kind, at };
          break;
        case 8:
          if (is("wallTime")) change.wallMs = Number(bytes.readBigInt64LE(at));
          break;
        case 9:
          if (is("txnNumber")) number = bytes.readBigInt64LE(at);
          break;
        case 10:
          if (is("splitEvent")) change.fragment = fragmentAt({ bytes, type: kind, at });
          break;
        case 11:
          if (is("clusterTime")) change.time = bytes.readBigUInt64LE(at);
          else if (is("documentKey")) change.key = field({ bytes, type: kind, at }, "_id");
          break;
        case 12:
          if (is("fullDocument") && kind === type.object)
            change.document = { bytes, type: kind, at };
          break;
        case 13:
          if (is("operationType")) change.operation = operationAt(bytes, at);
          break;
        case 24:
          if (is("fullDocumentBeforeChange") && kind === type.object)
            change.before = { bytes, type: kind, at };
          break;
      }
      at += lengthOf(kind, bytes, at);
    }
    if (session && number !== undefined) change.transaction = transactionText(session, number);
    return change;
  };
}

/** A split event put together again: every field comes in one piece only. */
export function joined(pieces: readonly Change[]): Change {
  const [first, ...others] = pieces;
  if (!first) throw new RangeError("joined: no pieces.");
  const all = pieces.toReversed();
  return {
    ...first,
    operation: pieces.map(({ operation }) => operation).join(""),
    time: all.find(({ time }) => time > 0n)?.time ?? 0n,
    wallMs: all.find(({ wallMs }) => wallMs !== undefined)?.wallMs,
    namespace: all.find(({ namespace }) => namespace)?.namespace,
    to: all.find(({ to }) => to)?.to,
    key: all.find(({ key }) => key)?.key,
    document: all.find(({ document }) => document)?.document,
    before: all.find(({ before }) => before)?.before,
    transaction: all.find(({ transaction }) => transaction)?.transaction,
    token: (others.at(-1) ?? first).token,
  };
}

export function tokenAt(bytes: Buffer, at: number): Token {
  const document = { bytes, type: type.object, at };
  const [data, bits] = [field(document, "_data"), field(document, "_typeBits")];
  const text = data ? textAt(bytes, data.at) : "";
  if (!bits) return { data: text };
  const start = bits.at + 5;
  const length = bytes.readInt32LE(bits.at);
  return { data: text, typeBits: bytes.toString("base64", start, start + length) };
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

const usual = ["insert", "update", "delete", "replace"];

function operationAt(bytes: Buffer, at: number): string {
  const end = at + 3 + bytes.readInt32LE(at);
  return usual.find((name) => isName(bytes, at + 4, end, name)) ?? textAt(bytes, at);
}

function fragmentAt(value: Value): { number: number; of: number } {
  const read = (name: string) => {
    const found = field(value, name);
    return found ? found.bytes.readInt32LE(found.at) : 0;
  };
  return { number: read("fragment"), of: read("of") };
}

function transactionText(session: Value, number: bigint): string {
  const id = field(session, "id");
  return `${id ? id.bytes.toString("hex", id.at + 5, id.at + 21) : ""}:${number}`;
}
