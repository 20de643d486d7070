import type { BSON } from "mongodb";
import { documentOf, field, fields, lengthOf, textAt, type, type Value } from "./bson.ts";

const name = Buffer.from("_id\0");
const end = Buffer.from([0]);

/** A document `{ _id: … }` as base64, for a checkpoint. JSON would lose the order of an object's fields. */
export function encodeKey(key: Value): string {
  return wrapped(key).toString("base64");
}

/** Reads what `encodeKey` wrote. */
export function decodeKey(text: string): Value {
  const key = field(documentOf(Buffer.from(text, "base64")), "_id");
  if (!key) throw new RangeError("mongodb: a key in the checkpoint is damaged.");
  return key;
}

/** The value to hand to the driver in a command: same type, same order of fields. */
export function toDriver(key: Value, bson: typeof BSON): unknown {
  const { bytes, type: kind, at } = key;
  switch (kind) {
    case type.objectId:
      return new bson.ObjectId(bytes.subarray(at, at + 12));
    case type.string:
      return textAt(bytes, at);
    case type.array:
      return [...fields(key)].map(([, item]) => toDriver(item, bson));
    case type.object:
      // A Map: an object would put fields named like numbers first.
      return new Map([...fields(key)].map(([field, one]) => [field, toDriver(one, bson)]));
    default:
      return bson.deserialize(wrapped(key), { promoteValues: false })["_id"];
  }
}

/** A value as BSON. */
export function fromDriver(value: unknown, bson: typeof BSON): Value {
  return decodeKey(Buffer.from(bson.serialize({ _id: value })).toString("base64"));
}

function wrapped({ bytes, type: kind, at }: Value): Buffer {
  const content = bytes.subarray(at, at + lengthOf(kind, bytes, at));
  const head = Buffer.alloc(5);
  head.writeInt32LE(5 + name.length + content.length + end.length);
  head.writeUInt8(kind, 4);
  return Buffer.concat([head, name, content, end]);
}
