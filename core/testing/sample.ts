import { createHash } from "node:crypto";
import type { Sink, Writer } from "../connector.ts";
import {
  cleared,
  deleted,
  upserted,
  type DocumentUpserted,
  type RecordChange,
  type UpsertEvent,
} from "../event.ts";
import { version, type Version } from "../version.ts";
import { word } from "./conformance.ts";
import { writeRun } from "./fakes/context.ts";

/** Makes the upsert a sink is given: a record that holds `texts`, in that order. */
export type Sample = (
  about: Omit<Parameters<typeof upserted>[0], "op" | "after">,
  texts: readonly string[],
) => UpsertEvent;

/** A document of one chunk a text where the sink accepts documents, else a record. */
export function sampleFor(sink: Sink): Sample {
  const isOfDocuments = sink.accepts.some((prefix) => prefix.startsWith("dev.sluice.document."));
  return isOfDocuments ? documentOf : recordOf;
}

/** Makes the changes of one origin of its own, and writes them. */
export function hand(writer: Writer, sample: Sample) {
  return {
    ...changesOf(`/kit/${word()}`, sample),
    stranger: () => changesOf(`/kit/${word()}`, sample),
    write: (events: readonly RecordChange[], run: Parameters<typeof writeRun>[0] = {}) =>
      writer.write(events, writeRun(run)),
    writer,
    close: () => writer.close(),
  };
}
export type Hand = ReturnType<typeof hand>;

/** A version, or a small number for one of those that only differ in their position. */
type At = number | Version;

/** Makes the changes of one origin. */
export function changesOf(source: string, sample: Sample) {
  const about = (subject: string, at: At) => ({
    source,
    subject,
    key: subject,
    version: typeof at === "number" ? sequenceAt(at) : at,
    // When it changed at its origin, which says nothing of which change is newer.
    time: "2001-02-03T04:05:06.789Z",
    meta: {},
  });
  return {
    put: (subject: string, at: At, ...texts: readonly string[]) =>
      sample(about(subject, at), texts),
    poison: (poison: Sample, subject: string, at: At, ...texts: readonly string[]) =>
      poison(about(subject, at), texts),
    remove: (subject: string, at: At) => deleted(about(subject, at)),
    clear: (at: At) => {
      const { version: below, ...rest } = about("*", at);
      return cleared({ ...rest, below, reason: "sweep" });
    },
  };
}

/** The same record, as a snapshot or a new one brings it. A document does not tell. */
export function withOp(event: UpsertEvent, op: "create" | "update" | "read"): UpsertEvent {
  if (event.type !== "dev.sluice.record.upserted") return event;
  return { ...event, data: { ...event.data, op } };
}

function sequenceAt(position: number): Version {
  return version({ epoch: 1, position: BigInt(position), rank: 0, tail: 0 });
}

const recordOf: Sample = (about, texts) =>
  upserted({ ...about, op: "update", after: { text: texts.join("\n\n") } });

const documentOf: Sample = (about, texts) => {
  const text = texts.join("\n\n");
  const record = upserted({ ...about, op: "update", after: {} });
  const document: DocumentUpserted = {
    ...record,
    type: "dev.sluice.document.upserted",
    data: {
      key: about.key,
      text,
      metadata: {},
      lineage: ["kit@1.0.0:00000000"],
      chunks: texts.map((part) => {
        const start = text.indexOf(part);
        return { id: `${hashOf(part)}~0`, text: part, start, end: start + part.length };
      }),
    },
  };
  return document;
};

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
