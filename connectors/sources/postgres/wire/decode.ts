import { protocolError } from "./refusals.ts";
import type { Tuple } from "./tuple.ts";

/** One message of the `pgoutput` plugin, version 1. Times are microseconds since 2000-01-01 UTC. */
export type Message =
  | {
      readonly kind: "begin";
      readonly commitLsn: bigint;
      readonly time: bigint;
      readonly xid: number;
    }
  | {
      readonly kind: "commit";
      readonly commitLsn: bigint;
      readonly endLsn: bigint;
      readonly time: bigint;
    }
  | Relation
  | { readonly kind: "insert"; readonly relation: number; readonly row: Tuple }
  | {
      readonly kind: "update";
      readonly relation: number;
      readonly old?: OldRow;
      readonly row: Tuple;
    }
  | { readonly kind: "delete"; readonly relation: number; readonly old: OldRow }
  | { readonly kind: "truncate"; readonly relations: readonly number[]; readonly cascade: boolean }
  | {
      readonly kind: "message";
      readonly transactional: boolean;
      readonly lsn: bigint;
      readonly prefix: string;
      readonly content: Buffer;
    }
  | { readonly kind: "origin"; readonly name: string }
  | { readonly kind: "type"; readonly oid: number; readonly schema: string; readonly name: string }
  | { readonly kind: "unknown"; readonly tag: string };

/** A table as the rows after this message have it. */
export interface Relation {
  readonly kind: "relation";
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly identity: "d" | "n" | "f" | "i";
  readonly columns: readonly {
    readonly name: string;
    readonly type: number;
    readonly typmod: number;
    readonly isIdentity: boolean;
  }[];
}

/** `key`: columns outside the identity are null, which says nothing. `full`: the whole old row. */
export interface OldRow {
  readonly kind: "key" | "full";
  readonly row: Tuple;
}

/**
 * A longer text is cut here: more than any `maxValueBytes` lets through (64 MiB, as hexadecimal
 * digits), so it is left out anyway; and a gigabyte is no string in JavaScript.
 */
const longestText = 2 * 64 * 2 ** 20 + 16;
/** Up to here a loop is quicker than the call that decodes UTF-8. */
const shortText = 6;

interface Cursor {
  readonly bytes: Buffer;
  at: number;
  readonly end: number;
}

/**
 * Decodes the message in `bytes` from `start` to `end`. What it returns are copies. Throws
 * `postgres.protocol` when the message is not whole or says more than it should.
 */
export function decode(bytes: Buffer, start: number, end: number): Message {
  const from: Cursor = { bytes, at: start, end };
  const tag = uint8(from);
  const message = body(tag, from);
  if (message.kind !== "unknown" && from.at !== end)
    throw protocolError(`a message ${name(tag)} with ${end - from.at} bytes too many`);
  return message;
}

function body(tag: number, from: Cursor): Message {
  switch (tag) {
    case 0x49: // I
      return { kind: "insert", relation: uint32(from), row: newRow(from) };
    case 0x55: // U
      return update(from);
    case 0x44: // D
      return { kind: "delete", relation: uint32(from), old: oldRow(from, uint8(from)) };
    case 0x42: // B
      return { kind: "begin", commitLsn: uint64(from), time: int64(from), xid: uint32(from) };
    case 0x43: // C
      uint8(from);
      return { kind: "commit", commitLsn: uint64(from), endLsn: uint64(from), time: int64(from) };
    case 0x52: // R
      return relation(from);
    case 0x59: // Y
      return { kind: "type", oid: uint32(from), schema: schema(from), name: string(from) };
    case 0x54: // T
      return truncate(from);
    case 0x4d: // M
      return logical(from);
    case 0x4f: // O
      uint64(from);
      return { kind: "origin", name: string(from) };
    default:
      return { kind: "unknown", tag: String.fromCharCode(tag) };
  }
}

function update(from: Cursor): Message {
  const oid = uint32(from);
  const kind = uint8(from);
  if (kind === 0x4e) return { kind: "update", relation: oid, row: tuple(from) };
  const old = oldRow(from, kind);
  return { kind: "update", relation: oid, old, row: newRow(from) };
}

function newRow(from: Cursor): Tuple {
  const kind = uint8(from);
  if (kind !== 0x4e) throw protocolError(`${name(kind)} where a new row should be`);
  return tuple(from);
}

function oldRow(from: Cursor, kind: number): OldRow {
  if (kind === 0x4b) return { kind: "key", row: tuple(from) };
  if (kind === 0x4f) return { kind: "full", row: tuple(from) };
  throw protocolError(`${name(kind)} where an old row should be`);
}

function tuple(from: Cursor): Tuple {
  const count = uint16(from);
  const row: (string | null | undefined)[] = [];
  for (let i = 0; i < count; i++) {
    const kind = uint8(from);
    if (kind === 0x74) row.push(value(from));
    else if (kind === 0x6e) row.push(null);
    else if (kind === 0x75) row.push(undefined);
    else throw protocolError(`a value of kind ${name(kind)}`);
  }
  return row;
}

function value(from: Cursor): string {
  const length = uint32(from);
  const start = move(from, length);
  if (length > shortText)
    return from.bytes.toString("utf8", start, start + Math.min(length, longestText));
  let text = "";
  for (let at = start; at < from.at; at++) {
    const byte = from.bytes[at] ?? 0;
    if (byte >= 0x80) return from.bytes.toString("utf8", start, from.at);
    text += String.fromCharCode(byte);
  }
  return text;
}

function relation(from: Cursor): Relation {
  const oid = uint32(from);
  const where = schema(from);
  const table = string(from);
  const identity = String.fromCharCode(uint8(from));
  if (identity !== "d" && identity !== "n" && identity !== "f" && identity !== "i")
    throw protocolError(`a table with the replica identity ${JSON.stringify(identity)}`);
  const columns = Array.from({ length: uint16(from) }, () => ({
    isIdentity: uint8(from) === 1,
    name: string(from),
    type: uint32(from),
    typmod: uint32(from) | 0,
  }));
  return { kind: "relation", oid, schema: where, name: table, identity, columns };
}

function truncate(from: Cursor): Message {
  const count = uint32(from);
  const cascade = (uint8(from) & 1) === 1;
  if (4 * count > from.end - from.at) throw protocolError(`a truncate of ${count} tables, cut off`);
  return {
    kind: "truncate",
    relations: Array.from({ length: count }, () => uint32(from)),
    cascade,
  };
}

function logical(from: Cursor): Message {
  const transactional = (uint8(from) & 1) === 1;
  const lsn = uint64(from);
  const prefix = string(from);
  const length = uint32(from);
  const start = move(from, length);
  const content = Buffer.from(from.bytes.subarray(start, from.at));
  return { kind: "message", transactional, lsn, prefix, content };
}

/** Empty stands for `pg_catalog`. */
function schema(from: Cursor): string {
  return string(from) || "pg_catalog";
}

function string(from: Cursor): string {
  const end = from.bytes.indexOf(0, from.at);
  if (end < 0 || end >= from.end) throw protocolError("a name without an end");
  const text = from.bytes.toString("utf8", from.at, end);
  from.at = end + 1;
  return text;
}

/** Goes on by `length` bytes, if the message has them; where they start. */
function move(from: Cursor, length: number): number {
  const start = from.at;
  from.at += length;
  if (from.at > from.end) throw protocolError("a message that is cut off");
  return start;
}

function uint8(from: Cursor): number {
  return from.bytes.readUInt8(move(from, 1));
}

function uint16(from: Cursor): number {
  return from.bytes.readUInt16BE(move(from, 2));
}

function uint32(from: Cursor): number {
  return from.bytes.readUInt32BE(move(from, 4));
}

function uint64(from: Cursor): bigint {
  return from.bytes.readBigUInt64BE(move(from, 8));
}

function int64(from: Cursor): bigint {
  return from.bytes.readBigInt64BE(move(from, 8));
}

function name(tag: number): string {
  return JSON.stringify(String.fromCharCode(tag));
}
