import { deleted, upserted, type JsonObject, type RecordChange, type Version } from "sluice";
import type { Bucket } from "./bucket.ts";
import type { Looked } from "./desk.ts";
import type { Doubts } from "./memory/doubts.ts";
import type { Excerpt } from "./memory/memory.ts";
import type { Pass } from "./pass.ts";
import type { Problems } from "./problems.ts";
import type { ReadObject } from "./read-object.ts";

export interface Judging {
  readonly source: string;
  readonly bucket: Bucket;
  readonly doubts: Doubts;
  readonly problems: Problems;
  readonly nextVersion: () => Version;
}

/**
 * Compares what was read of an object with what is known of it, and notes what is known from now on.
 * `undefined`: nothing that anybody has to be told. `"doubtful"`: nothing can be said of it yet.
 */
export function judge(
  { look, reading }: Looked,
  known: Excerpt,
  pass: Pass | undefined,
  { source, bucket, doubts, problems, nextVersion }: Judging,
): RecordChange | "doubtful" | undefined {
  const { key } = look;
  const before = known.get(key);
  const isInDoubt = doubts.has(key);
  const about = () => ({ source, subject: key, key: { key }, version: nextVersion() });

  switch (reading.kind) {
    case "same":
      problems.forget(key);
      return undefined;

    case "denied":
    case "archived":
    case "unreadable": {
      problems.tell(reading.kind, key, { error: reading.cause });
      if (before !== undefined || isInDoubt) pass?.spare();
      return "doubtful";
    }

    case "none":
    case "too-large": {
      if (reading.kind === "too-large") problems.tell("too-large", key, { bytes: reading.bytes });
      else problems.forget(key);
      if (before === undefined && !isInDoubt) return undefined;
      known.set(key, undefined);
      return deleted({ ...about(), time: look.removedAt ?? new Date().toISOString(), meta: {} });
    }

    case "content": {
      const { object } = reading;
      problems.forget(key);
      const isSame = before === object.fingerprint && !isInDoubt;
      if (isSame && !look.isForced) return undefined;
      known.set(key, object.fingerprint);
      // What is news to everybody is not kept to the one who asked.
      const audience = isSame ? pass?.snapshot?.audience : undefined;
      const isRead = look.isOfPass && pass?.snapshot !== undefined;
      const { etag, versionId } = object;
      return upserted({
        ...about(),
        op: isRead ? "read" : before === undefined ? "create" : "update",
        time: timeOf(object),
        after: afterOf(bucket.uriOf(key), object),
        meta: { etag, ...(versionId !== undefined && { versionId }) },
        ...(audience !== undefined && { audience }),
      });
    }
  }
}

function afterOf(uri: string, object: ReadObject): JsonObject {
  const { mediaType, size, etag, versionId, contentEncoding, userMetadata, content } = object;
  return {
    uri,
    mediaType,
    size,
    modified: timeOf(object),
    etag,
    ...(versionId !== undefined && { versionId }),
    ...(contentEncoding !== undefined && { contentEncoding }),
    ...(Object.keys(userMetadata).length > 0 && { userMetadata }),
    ...content,
  };
}

function timeOf({ modified }: ReadObject): string {
  return (modified ?? new Date()).toISOString();
}
