import type { CloudEventV1 } from "cloudevents";
import type { Version } from "./version.ts";

/** What JSON can say. Numbers that JSON cannot hold exactly come as texts from sources that have them. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };
/** An object of JSON: the columns of a row, the fields of a document. */
export type JsonObject = { readonly [key: string]: Json };

/** Well-formed UTF-16 without U+0000: `checkEvents` replaces both kinds of damage by U+FFFD. */
export type Text = string;

/** Flat, as vector databases store it: no null, no nesting. */
export type Metadata = {
  readonly [key: string]: string | number | boolean | readonly string[];
};

/** What every event says of itself: a CloudEvent of the type `T` that carries `D`. */
export interface Attributes<T extends string, D> extends CloudEventV1<D> {
  readonly id: string;
  /** URI-reference of the origin, e.g. `/file/notes`. */
  readonly source: string;
  readonly type: T;
  /** When the change committed at the origin, RFC 3339. */
  readonly time: string;
  readonly data: D;
  /** W3C trace context, carried through every stage. */
  readonly traceparent?: string;
  /** Ties an answer and its feedback to a question. */
  readonly correlationid?: string;
  /** Deliver to this subscription only (a catch-up snapshot). */
  readonly audience?: string;
}

/** One event is about one record, along the whole chain: stages enrich it, they never split it into chunks. */
export interface OfRecord<T extends string, D> extends Attributes<T, D> {
  /** The key's canonical text, injective within `source`. Relational keys: a JSON array of texts, `["1"]`. */
  readonly subject: string;
  readonly sequence: Version;
  /** What order is kept by; `${source}\n${subject}` unless the source says otherwise. */
  readonly partitionkey: string;
}

/** What a record holds now, in whole: `after` replaces whatever was known. `op`: `read` by a snapshot, `create` and `update` seen as they happened. */
export type RecordUpserted = OfRecord<
  "dev.sluice.record.upserted",
  {
    readonly op: "read" | "create" | "update";
    readonly key: Json;
    readonly after: JsonObject;
    /** What it held, where the origin tells. */
    readonly before?: JsonObject;
    /** Columns the origin did not send and the source could not re-read; listed, never invented. */
    readonly unchanged?: readonly string[];
    readonly meta: JsonObject;
  }
>;

/** A record is gone. `before` is what it held, where the origin tells. */
export type RecordDeleted = OfRecord<
  "dev.sluice.record.deleted",
  {
    readonly op: "delete";
    readonly key: Json;
    readonly before?: JsonObject;
    readonly meta: JsonObject;
  }
>;

/**
 * Every record of `source` whose version is below `below` is gone: a truncate, a drop, or the sweep
 * that ends a re-snapshot. It goes to every partition; each copy governs the keys with
 * hash(partitionkey) % scope.of === scope.partition, so order per key makes it safe.
 */
export type CollectionCleared = OfRecord<
  "dev.sluice.collection.cleared",
  {
    readonly reason: "truncate" | "drop" | "sweep";
    /** Exclusive: what is at it stays. */
    readonly below: Version;
    /** Whose keys this copy governs; see `inScope`. */
    readonly scope?: { readonly partition: number; readonly of: number };
    readonly meta: JsonObject;
  }
>;

/** A token-counted stretch of a document's text: UTF-16 offsets. Made by `tokenize`, used up by `chunk`. */
export interface Segment {
  readonly start: number;
  readonly end: number;
  readonly tokens: number;
}

/** A piece of a document that gets one vector. */
export interface Chunk {
  /** 16 hex of SHA-256(text), `~`, and the occurrence of that text in the document (base 36). */
  readonly id: string;
  readonly text: Text;
  /** The heading path: embedded with the text, not part of the id. */
  readonly context?: Text;
  /** UTF-16 offsets into the document's text. */
  readonly start: number;
  readonly end: number;
  readonly metadata?: Metadata;
  /** Hash of what is embedded and by which model; set by `embed` together with `vector`. */
  readonly embedKey?: string;
  /** Base64 of float32 little-endian. */
  readonly vector?: string;
}

/** The text that was made of a record, as vector sync takes it: `parse` or `render` make it, `chunk` and `embed` enrich it. Its delete is that of its record. */
export type DocumentUpserted = OfRecord<
  "dev.sluice.document.upserted",
  {
    readonly key: Json;
    readonly text: Text;
    readonly metadata: Metadata;
    readonly mediaType?: string;
    readonly segments?: readonly Segment[];
    readonly chunks?: readonly Chunk[];
    /** `name@version:configHash` of each stage that can change text, metadata or chunk borders. */
    readonly lineage: readonly string[];
    /** Fingerprint of the model that counted `segments`, or made the vectors. */
    readonly model?: string;
  }
>;

/** A question on its way to its answer: `converse`, `embed`, `retrieve` and `prompt` each add their part. */
export type QuestionAsked = Attributes<
  "dev.sluice.question.asked",
  {
    readonly text: Text;
    /** Id of the event that somebody asked with, noted by the first stage: each stage has an id of its own. */
    readonly question?: string;
    /** Questions of one conversation are understood with what was said before. */
    readonly conversation?: string;
    /** What was said before, oldest first. */
    readonly history?: readonly { readonly question: Text; readonly answer: Text }[];
    /** What to look for where the text alone does not say it: a follow-up question. */
    readonly query?: Text;
    readonly topK?: number;
    /** In the index's own language. */
    readonly filter?: JsonObject;
    readonly namespace?: string;
    /** Answer only from an index that has seen this log position: a decimal number. */
    readonly minLsn?: string;
    /** Base64 of float32 little-endian, and the fingerprint of the model that made it. */
    readonly vector?: string;
    readonly model?: string;
    readonly matches?: readonly {
      readonly id: string;
      readonly score: number;
      readonly metadata: Metadata;
    }[];
    /** What `matches` reflect. */
    readonly asOf?: AsOf;
    /** What the language model is given, and the passages it numbers, in that order. */
    readonly prompt?: Text;
    readonly passages?: readonly Citation[];
  }
>;

/** How far a source had come when it said something: the index may know less than the source does by now, never more. */
export interface SourcePoint {
  readonly source: string;
  /** At which what was found was written last: a passage that an edit leaves as it is keeps its own. */
  readonly version: Version;
  /** Its place in the source's own log, as that source counts: a decimal number. */
  readonly position?: string;
  /** When that change was made at the source, RFC 3339. Absent from indexes that were filled before it was kept. */
  readonly time?: string;
}

/** What an answer reflects: of the index, and of each source of the passages that were found. Nothing found claims nothing. */
export interface AsOf {
  /** The log position up to which the index was searched, where it tells. */
  readonly lsn?: string;
  /** The newest of each source, one a source. */
  readonly sources: readonly SourcePoint[];
}

/** Where a passage stands: its record, as of which version, and how well it fits the question. */
export interface Citation extends SourcePoint {
  /** The number that texts cite it by: `[1]`. */
  readonly n: number;
  readonly subject: string;
  /** Id of the chunk's vector. */
  readonly chunk: string;
  readonly score: number;
  readonly passage: Text;
}

/** What a language model answered, with what it was given to answer from. */
export type AnswerGiven = Attributes<
  "dev.sluice.answer.given",
  {
    /** Id of the question's event. */
    readonly question: string;
    readonly asked: Text;
    readonly conversation?: string;
    readonly text: Text;
    /** False: nothing that was found answers it, and the text says so. */
    readonly isAnswered: boolean;
    /** The model stopped at its limit of tokens: the text is not whole. */
    readonly isCut?: boolean;
    readonly model: string;
    /** Of all passages that were found, cited or not. */
    readonly asOf?: AsOf;
    readonly citations: readonly Citation[];
    /** Where the model counts them. */
    readonly tokens?: { readonly prompt: number; readonly completion: number };
  }
>;

/** Somebody wants what was said in a conversation to be forgotten. */
export type ConversationForgotten = Attributes<
  "dev.sluice.conversation.forgotten",
  { readonly conversation: string }
>;

/** What somebody thought of an answer. */
export type FeedbackGiven = Attributes<
  "dev.sluice.feedback.given",
  {
    /** Id of the answer's event. */
    readonly answer: string;
    readonly rating: -1 | 0 | 1;
    readonly comment?: Text;
  }
>;

/** What says what a record holds now, as the origin has it or as a document. */
export type UpsertEvent = RecordUpserted | DocumentUpserted;
/** What carries a version. */
export type RecordChange = UpsertEvent | RecordDeleted | CollectionCleared;
/** Any other CloudEvent: no version, no tombstone, order per `partitionkey` where given. */
export type MessageEvent = CloudEventV1<unknown>;
/** Whatever goes through a topic: a change of a record, or any other CloudEvent 1.0. */
export type SluiceEvent = RecordChange | MessageEvent;

const recordTypes = new Set([
  "dev.sluice.record.upserted",
  "dev.sluice.record.deleted",
  "dev.sluice.collection.cleared",
  "dev.sluice.document.upserted",
]);

/** Narrow with this first (a message's `type` is any string), then by `type`. Reads the type attribute only. */
export function isRecordChange(event: SluiceEvent): event is RecordChange {
  return recordTypes.has(event.type);
}

/** True for events that say what a record holds now. Reads the type attribute only. */
export function isUpsert(event: SluiceEvent): event is UpsertEvent {
  return (
    event.type === "dev.sluice.record.upserted" || event.type === "dev.sluice.document.upserted"
  );
}

/** What every event about a record says, whatever happened to it. */
export interface Change {
  /** URI-reference of the origin: `/postgres/shop/public.articles`. */
  readonly source: string;
  /** The key as the origin has it; `subject` is its text, no two of a source alike. */
  readonly key: Json;
  readonly subject: string;
  readonly version: Version;
  /** RFC 3339. */
  readonly time: string;
  /** The origin's own words on the change: a position, a transaction. */
  readonly meta: JsonObject;
  /** What order is kept by; the record, if nothing is said. */
  readonly partitionkey?: string;
  /** The one subscription it is for, in a snapshot that one asked for. */
  readonly audience?: string;
}

/** A record appeared or changed. Its id is `${subject}@${version}`: the same change, the same id. */
export function upserted(
  change: Change & {
    readonly op: "read" | "create" | "update";
    readonly after: JsonObject;
    readonly before?: JsonObject;
    readonly unchanged?: readonly string[];
  },
): RecordUpserted {
  const { op, key, after, before, unchanged, meta } = change;
  const data = { op, key, after, meta };
  return aboutRecord(
    change,
    "dev.sluice.record.upserted",
    before || unchanged
      ? { ...data, ...(before && { before }), ...(unchanged && { unchanged }) }
      : data,
  );
}

/** A record is gone. Same identity rules as `upserted`. */
export function deleted(change: Change & { readonly before?: JsonObject }): RecordDeleted {
  const { key, before, meta } = change;
  const data = { op: "delete", key, meta } as const;
  return aboutRecord(change, "dev.sluice.record.deleted", before ? { ...data, before } : data);
}

/** All records of `source` below a version are gone. `publish` makes one copy a partition. */
export function cleared(clear: {
  readonly source: string;
  readonly below: Version;
  readonly reason: "truncate" | "drop" | "sweep";
  readonly time: string;
  readonly meta: JsonObject;
  readonly audience?: string;
}): CollectionCleared {
  const { source, below, reason, time, meta, audience } = clear;
  return {
    specversion: "1.0",
    id: `clear@${below}`,
    source,
    subject: "*",
    type: "dev.sluice.collection.cleared",
    time,
    sequence: below,
    partitionkey: source,
    ...(audience && { audience }),
    data: { reason, below, meta },
  };
}

// Literals and no spread where it can be: this runs for every event of every source.
function aboutRecord<T extends string, D>(change: Change, type: T, data: D): OfRecord<T, D> {
  const { source, subject, version, time, audience } = change;
  const event = {
    specversion: "1.0",
    id: `${subject}@${version}`,
    source,
    type,
    subject,
    time,
    sequence: version,
    partitionkey: change.partitionkey ?? `${source}\n${subject}`,
    data,
  };
  return audience === undefined ? event : { ...event, audience };
}
