import {
  cleared,
  deleted,
  upserted,
  version,
  type JsonObject,
  type SluiceEvent,
  type Version,
} from "sluice";
import { field, lengthOf, sameValue, type Value } from "./bson.ts";
import { nameOf, sourceOf, type Capture } from "./capture.ts";
import type { Change, Namespace } from "./change.ts";
import type { Options } from "./config.ts";
import type { Matcher } from "./filter.ts";
import { keyText, toJson, valueToJson } from "./json.ts";
import { brokenEvent } from "./problems.ts";
import { shapeOf } from "./projection.ts";
import { instantOf, placeIn, timeText } from "./token.ts";

/** What a change means to those downstream. */
export interface Meaning {
  readonly events: readonly SluiceEvent[];
  /** About how many they take as JSON. */
  readonly bytes: number;
  /** The captured collection it is about, and the keys of its records that it tells of. */
  readonly collection?: string;
  readonly keys?: readonly string[];
  /** Collections that are gone, or are other ones now. */
  readonly cleared?: readonly string[];
  /** A captured collection that holds what another one held: to be copied. */
  readonly appeared?: string;
}

export interface Meanings {
  readonly ofChange: (change: Change) => Meaning;
  /** Of a document that a copy read; without events where the filter does not want it. */
  readonly ofDocument: (
    namespace: Namespace,
    key: string,
    document: Value,
    read: { readonly time: bigint } & PassMarks,
  ) => Meaning;
  /** Every record that neither a copy since `since` nor the stream after it has told of is gone. */
  readonly sweep: (collection: string, read: { readonly since: bigint } & PassMarks) => SluiceEvent;
}

/** What all events of a pass have in common. */
export interface PassMarks {
  readonly number: number;
  readonly audience?: string | undefined;
}

const nothing: Meaning = { events: [], bytes: 0 };
/** What an event takes besides its document. */
const envelopeBytes = 700;
/** How much longer JSON is than BSON, about. */
const stretch = { relaxed: 1.2, canonical: 2.5, plain: 1.1 };

/**
 * Makes events of changes and documents. Versions: position is the cluster time; at one time what a copy read
 * (rank 1, in the order of passes) is above what the stream tells (rank 0, in the order of the transaction).
 */
export function meanings(place: {
  readonly connector: string;
  readonly options: Options;
  readonly capture: Capture;
  readonly matches: Matcher | undefined;
  readonly epoch: number;
}): Meanings {
  const { connector, options, capture, matches = () => true, epoch } = place;
  const { json: dialect, projection } = options;
  const shape = projection && shapeOf(projection);
  const targets = new WeakMap<Namespace, Target | undefined>();
  const clock = instants();

  const targetOf = (namespace: Namespace): Target | undefined => {
    if (targets.has(namespace)) return targets.get(namespace);
    const source = sourceOf(connector, namespace);
    const target = capture.includes(namespace)
      ? { name: nameOf(namespace), source, namespace }
      : undefined;
    targets.set(namespace, target);
    return target;
  };
  const versionAt = (time: bigint, token: string): Version =>
    version({ epoch, position: time, rank: 0, tail: placeIn(token) });
  const bytesOf = ({ bytes, type, at }: Value) =>
    envelopeBytes + lengthOf(type, bytes, at) * stretch[dialect];

  const aboutOf = (change: Change, target: Target): About => ({
    source: target.source,
    version: versionAt(change.time, change.token.data),
    time: change.wallMs === undefined ? instantOf(change.time) : clock(change.wallMs),
    meta: metaOf(target.namespace, change.operation, change.time, change.transaction),
  });
  const ofRecord = (change: Change, target: Target): Meaning => {
    const { operation, time, key, document } = change;
    if (!key || time === 0n) throw brokenEvent(operation, change.namespace);
    const about = aboutOf(change, target);
    const subject = keyText(key);
    const before = change.before && toJson(change.before, dialect, shape);
    const bytes =
      (document ? bytesOf(document) : envelopeBytes) + (change.before ? bytesOf(change.before) : 0);
    const collection = target.name;
    const told = (events: readonly SluiceEvent[], ...keys: readonly string[]) => ({
      events,
      bytes,
      collection,
      keys,
    });
    if (operation === "delete" || !document)
      return told([gone(about, key, subject, before)], subject);

    const id = field(document, "_id") ?? key;
    const op = operation === "insert" ? "create" : "update";
    const after = matches(document) ? toJson(document, dialect, shape) : undefined;
    if (!sameValue(id, key)) {
      // 1 may be replaced by 1.0, which is the same to the server.
      const now = keyText(id);
      const fresh = after && [present(about, id, now, op, after, before)];
      return told([gone(about, key, subject, before), ...(fresh ?? [])], subject, now);
    }
    if (after) return told([present(about, id, subject, op, after, before)], subject);
    return told(op === "create" ? [] : [gone(about, key, subject, before)], subject);
  };

  const clear = (target: Target, change: Change): SluiceEvent => {
    const { version: below, ...about } = aboutOf(change, target);
    return cleared({ ...about, below, reason: "drop" });
  };

  return {
    ofChange: (change) => {
      const target = change.namespace && targetOf(change.namespace);
      switch (change.operation) {
        case "insert":
        case "update":
        case "replace":
        case "delete":
          return target ? ofRecord(change, target) : nothing;
        case "drop":
          return target
            ? {
                events: [clear(target, change)],
                bytes: envelopeBytes,
                cleared: [target.name],
              }
            : nothing;
        case "rename": {
          const onto = change.to && targetOf(change.to);
          const both = [target, onto].filter((one) => one !== undefined);
          return {
            events: both.map((one) => clear(one, change)),
            bytes: envelopeBytes * both.length,
            cleared: both.map(({ name }) => name),
            ...(onto && { appeared: onto.name }),
          };
        }
        default:
          // A dropped database has told of each of its collections before; the rest concerns no record.
          return nothing;
      }
    },
    ofDocument: (namespace, key, document, { time, number, audience }) => {
      const target = targetOf(namespace);
      if (!target || !matches(document)) return nothing;
      const id = field(document, "_id");
      const read = {
        source: target.source,
        key: { _id: (id && valueToJson(id, "canonical")) ?? null },
        subject: key,
        version: version({ epoch, position: time, rank: 1, tail: number }),
        time: instantOf(time),
        op: "read",
        after: toJson(document, dialect, shape),
        meta: metaOf(namespace, "read", time, undefined),
      } as const;
      const event = upserted(audience === undefined ? read : { ...read, audience });
      return { events: [event], bytes: bytesOf(document), collection: target.name };
    },
    sweep: (collection, { since, number, audience }) => {
      const dot = collection.indexOf(".");
      const namespace = {
        database: collection.slice(0, dot),
        collection: collection.slice(dot + 1),
      };
      return cleared({
        source: sourceOf(connector, namespace),
        // Above all that the stream told of at that time, and earlier passes.
        below: version({ epoch, position: since, rank: 1, tail: number }),
        reason: "sweep",
        time: new Date().toISOString(),
        meta: metaOf(namespace, "sweep", since, undefined),
        ...(audience !== undefined && { audience }),
      });
    },
  };
}

interface Target {
  readonly name: string;
  readonly source: string;
  readonly namespace: Namespace;
}

/** What all events of one change say alike. */
interface About {
  readonly source: string;
  readonly version: Version;
  readonly time: string;
  readonly meta: JsonObject;
}

// Literals, no spread: these two run for nearly every event.
function present(
  { source, version: at, time, meta }: About,
  id: Value,
  subject: string,
  op: "create" | "update",
  after: JsonObject,
  before: JsonObject | undefined,
): SluiceEvent {
  const key = { _id: valueToJson(id, "canonical") ?? null };
  if (before === undefined)
    return upserted({ source, key, subject, version: at, time, op, after, meta });
  return upserted({ source, key, subject, version: at, time, op, after, before, meta });
}

function gone(
  { source, version: at, time, meta }: About,
  id: Value,
  subject: string,
  before: JsonObject | undefined,
): SluiceEvent {
  const key = { _id: valueToJson(id, "canonical") ?? null };
  if (before === undefined) return deleted({ source, key, subject, version: at, time, meta });
  return deleted({ source, key, subject, version: at, time, before, meta });
}

function metaOf(
  { database, collection }: Namespace,
  operation: string,
  time: bigint,
  transaction: string | undefined,
): JsonObject {
  const meta = { database, collection, operation, clusterTime: timeText(time) };
  return transaction === undefined ? meta : { ...meta, transaction };
}

/** Many changes share a millisecond, and a text of it costs more than the rest of the envelope. */
function instants(): (ms: number) => string {
  let last = Number.NaN;
  let text = "";
  return (ms) => {
    if (ms !== last) {
      last = ms;
      text = new Date(ms).toISOString();
    }
    return text;
  };
}
