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

  const ofRecord = (change: Change, target: Target): Meaning => {
    const { operation, token, time, wallMs, key, document, before, transaction } = change;
    if (!key || time === 0n) throw brokenEvent(operation, change.namespace);
    const subject = keyText(key);
    const about = {
      source: target.source,
      version: versionAt(time, token.data),
      time: wallMs === undefined ? instantOf(time) : clock(wallMs),
      meta: metaOf(target.namespace, operation, time, transaction),
    };
    const was = before && { before: toJson(before, dialect, shape) };
    const gone = () =>
      deleted({ ...about, key: { _id: valueToJson(key, "canonical") ?? null }, subject, ...was });
    const size = (document ? bytesOf(document) : envelopeBytes) + (before ? bytesOf(before) : 0);
    const collection = target.name;
    if (operation === "delete" || !document)
      return { events: [gone()], bytes: size, collection, keys: [subject] };

    const id = field(document, "_id") ?? key;
    const isSame = sameValue(id, key);
    const now = isSame ? subject : keyText(id);
    // 1 may be replaced by 1.0, which is the same to the server.
    const events: SluiceEvent[] = isSame ? [] : [gone()];
    if (matches(document)) {
      const after = toJson(document, dialect, shape);
      const op = operation === "insert" ? "create" : "update";
      events.push(
        upserted({
          ...about,
          key: { _id: valueToJson(id, "canonical") ?? null },
          subject: now,
          op,
          after,
          ...was,
        }),
      );
    } else if (operation !== "insert" && isSame) events.push(gone());
    return { events, bytes: size, collection, keys: isSame ? [subject] : [subject, now] };
  };

  const clear = (target: Target, change: Change, reason: "drop"): SluiceEvent =>
    cleared({
      source: target.source,
      below: versionAt(change.time, change.token.data),
      reason,
      time: change.wallMs === undefined ? instantOf(change.time) : clock(change.wallMs),
      meta: metaOf(target.namespace, change.operation, change.time, undefined),
    });

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
                events: [clear(target, change, "drop")],
                bytes: envelopeBytes,
                cleared: [target.name],
              }
            : nothing;
        case "rename": {
          const onto = change.to && targetOf(change.to);
          const both = [target, onto].filter((one) => one !== undefined);
          return {
            events: both.map((one) => clear(one, change, "drop")),
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
      const event = upserted({
        source: target.source,
        key: { _id: (id && valueToJson(id, "canonical")) ?? null },
        subject: key,
        version: version({ epoch, position: time, rank: 1, tail: number }),
        time: instantOf(time),
        op: "read",
        after: toJson(document, dialect, shape),
        meta: metaOf(namespace, "read", time, undefined),
        ...(audience !== undefined && { audience }),
      });
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
