/** The type bytes of BSON (https://bsonspec.org), as far as they are told apart here. */
export const type = {
  double: 1,
  string: 2,
  object: 3,
  array: 4,
  binary: 5,
  undefined: 6,
  objectId: 7,
  boolean: 8,
  date: 9,
  null: 10,
  regex: 11,
  pointer: 12,
  code: 13,
  symbol: 14,
  scopedCode: 15,
  int32: 16,
  timestamp: 17,
  int64: 18,
  decimal: 19,
  maxKey: 127,
  minKey: 255,
} as const;

/**
 * A value inside a server's answer, left as it came: its type byte and where its bytes begin. Whoever keeps
 * one keeps the whole answer in memory.
 */
export interface Value {
  readonly bytes: Buffer;
  readonly type: number;
  readonly at: number;
}

/** A document that is a `Buffer` of its own. */
export function documentOf(bytes: Buffer): Value {
  return { bytes, type: type.object, at: 0 };
}

/** How many bytes a value takes. */
export function lengthOf(kind: number, bytes: Buffer, at: number): number {
  switch (kind) {
    case type.double:
    case type.date:
    case type.timestamp:
    case type.int64:
      return 8;
    case type.string:
    case type.code:
    case type.symbol:
      return 4 + bytes.readInt32LE(at);
    case type.object:
    case type.array:
    case type.scopedCode:
      return bytes.readInt32LE(at);
    case type.binary:
      return 5 + bytes.readInt32LE(at);
    case type.objectId:
      return 12;
    case type.boolean:
      return 1;
    case type.regex:
      return endOfName(bytes, endOfName(bytes, at) + 1) + 1 - at;
    case type.pointer:
      return 4 + bytes.readInt32LE(at) + 12;
    case type.int32:
      return 4;
    case type.decimal:
      return 16;
    case type.undefined:
    case type.null:
    case type.maxKey:
    case type.minKey:
      return 0;
    default:
      throw new RangeError(`bson: type ${kind} is none of BSON's.`);
  }
}

/** Where the zero byte of a name is. */
export function endOfName(bytes: Buffer, at: number): number {
  let end = at;
  while (bytes[end] !== 0) {
    end += 1;
    if (end >= bytes.length) throw new RangeError("bson: a name has no end.");
  }
  return end;
}

/** Names met before, by a hash of their bytes: documents of a collection repeat theirs. */
const names: (string | undefined)[] = Array.from({ length: 4_096 });
const longestCached = 40;

export function nameAt(bytes: Buffer, at: number, end: number): string {
  if (end - at > longestCached) return bytes.toString("utf8", at, end);
  let hash = 0;
  for (let one = at; one < end; one++) hash = (hash * 31 + (bytes[one] ?? 0)) | 0;
  const place = hash & 4_095;
  const known = names[place];
  if (known !== undefined && isName(bytes, at, end, known)) return known;
  // Not equal byte by byte where it is not ASCII: then it is read anew each time.
  const name = bytes.toString("utf8", at, end);
  names[place] = name;
  return name;
}

/** Whether the name between two places is this one, of ASCII. */
export function isName(bytes: Buffer, at: number, end: number, name: string): boolean {
  const { length } = name;
  if (end - at !== length) return false;
  for (let one = 0; one < length; one++) if (bytes[at + one] !== name.charCodeAt(one)) return false;
  return true;
}

/** A string, code or symbol. */
export function textAt(bytes: Buffer, at: number): string {
  return bytes.toString("utf8", at + 4, at + 3 + bytes.readInt32LE(at));
}

/** Every field of a document, or item of an array, in order. */
export function* fields({ bytes, at }: Value): Generator<readonly [name: string, value: Value]> {
  let next = at + 4;
  for (let kind = bytes[next] ?? 0; kind !== 0; kind = bytes[next] ?? 0) {
    const end = endOfName(bytes, next + 1);
    const value = { bytes, type: kind, at: end + 1 };
    yield [nameAt(bytes, next + 1, end), value];
    next = end + 1 + lengthOf(kind, bytes, end + 1);
  }
}

/** The first field of that name. */
export function field(document: Value, name: string): Value | undefined {
  const { bytes, at } = document;
  let next = at + 4;
  for (let kind = bytes[next] ?? 0; kind !== 0; kind = bytes[next] ?? 0) {
    const end = endOfName(bytes, next + 1);
    if (isName(bytes, next + 1, end, name)) return { bytes, type: kind, at: end + 1 };
    next = end + 1 + lengthOf(kind, bytes, end + 1);
  }
  // `isName` compares bytes with characters, so it never finds a name that is not ASCII.
  if (/^[\0-\x7f]*$/.test(name)) return undefined;
  for (const [found, value] of fields(document)) if (found === name) return value;
  return undefined;
}

export function sameValue(a: Value, b: Value): boolean {
  if (a.type !== b.type) return false;
  const end = a.at + lengthOf(a.type, a.bytes, a.at);
  return a.bytes.compare(b.bytes, b.at, b.at + lengthOf(b.type, b.bytes, b.at), a.at, end) === 0;
}
