import {
  upserted,
  type DocumentUpserted,
  type JsonObject,
  type RecordUpserted,
} from "../../event.ts";
import { version } from "../../version.ts";

/** A record as a source emits it: what a transform, or a sink of records, is tested with. */
export function record(subject: string, after: JsonObject): RecordUpserted {
  return upserted({
    source: "/test",
    key: subject,
    subject,
    version: version({ epoch: 1, position: 1n, rank: 1, tail: 0 }),
    time: "2026-01-01T00:00:00Z",
    op: "create",
    after,
    meta: {},
  });
}

/** The document that `parse` makes of a text: not chunked yet. */
export function document(subject: string, text: string): DocumentUpserted {
  const { data, ...attributes } = record(subject, {});
  return {
    ...attributes,
    type: "dev.sluice.document.upserted",
    data: { key: data.key, text, metadata: {}, lineage: ["parse@1.0.0:00000000"] },
  };
}
