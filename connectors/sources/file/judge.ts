import { createHash } from "node:crypto";
import { pathToFileURL } from "node:url";
import { deleted, upserted, type JsonObject, type RecordChange, type StateWrite } from "sluice";
import { codeOf } from "./folder.ts";
import type { Looking } from "./look.ts";
import { isTextual, mediaTypeOf } from "../../_shared/media-type.ts";
import type { Pass } from "./pass.ts";
import { sameStamp, type Reading, type Stamp } from "./read-file.ts";

/** What a reading comes to: an event, or only something to remember. */
export interface Outcome {
  readonly event?: RecordChange;
  readonly write: StateWrite;
  /** About what the event weighs. */
  readonly bytes: number;
}

const emptyEventBytes = 1_024;

/**
 * Compares what was read of a file with what is known of it. Nothing is awaited between the two, so
 * events of one path come in the order of their versions.
 */
export function judge(
  path: string,
  reading: Reading,
  pass: Pass | undefined,
  { source, folder, memory, problems, nextVersion }: Looking,
): Outcome | "changing" | undefined {
  const known = memory.get(path);
  const about = () => ({ source, subject: path, key: { path }, version: nextVersion() });

  switch (reading.kind) {
    case "changing":
      return "changing";

    case "unreadable": {
      problems.tell("file-unreadable", path, { code: codeOf(reading.cause) });
      if (known) pass?.spare(known);
      pass?.answer(path);
      return undefined;
    }

    case "too-large":
    case "none":
    case "folder": {
      if (reading.kind === "too-large")
        problems.tell("file-too-large", path, { bytes: reading.bytes });
      else problems.forget(path);
      pass?.answer(path);
      if (!known) return undefined;
      const event = deleted({ ...about(), time: new Date().toISOString(), meta: {} });
      return { event, write: memory.remove(path), bytes: emptyEventBytes };
    }

    case "content": {
      const { bytes, stamp } = reading;
      const etag = createHash("sha256").update(bytes).digest("hex");
      const isSame = known?.etag === etag && isAsOld(known, stamp);
      const wanted = pass?.wants(path, known) ?? false;
      pass?.answer(path);
      problems.forget(path);
      if (isSame && !wanted) {
        if (sameStamp(known, stamp)) return undefined;
        return { write: memory.set(path, { ...known, ...stamp }), bytes: 0 };
      }
      // What is news to everybody is not kept to the one who asked.
      const audience = isSame ? pass?.snapshot?.audience : undefined;
      const change = about();
      const after = contentOf(folder.absolute(path), path, bytes, stamp, etag);
      const event = upserted({
        ...change,
        op: wanted ? "read" : known ? "update" : "create",
        time: timeOf(stamp),
        after,
        meta: { etag },
        ...(audience !== undefined && { audience }),
      });
      const version = isSame && audience !== undefined ? known.version : change.version;
      const write = memory.set(path, { ...stamp, etag, version });
      return { event, write, bytes: emptyEventBytes + Math.ceil((bytes.length * 4) / 3) };
    }
  }
}

/** Its event says when the file was modified, as precisely as that is told. */
function isAsOld(known: Stamp, stamp: Stamp): boolean {
  return Math.trunc(known.mtimeMs) === Math.trunc(stamp.mtimeMs);
}

function contentOf(
  absolute: string,
  path: string,
  bytes: Buffer,
  stamp: Stamp,
  etag: string,
): JsonObject {
  const mediaType = mediaTypeOf(path);
  const text = isTextual(mediaType) ? textOf(bytes) : undefined;
  return {
    uri: pathToFileURL(absolute).href,
    mediaType,
    size: stamp.size,
    modified: timeOf(stamp),
    etag,
    ...(text === undefined ? { contentBase64: bytes.toString("base64") } : { text }),
  };
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Without its byte order mark; `undefined` when it is not UTF-8. */
function textOf(bytes: Buffer): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    // Some other encoding: it goes as bytes, for a parser to tell.
    return undefined;
  }
}

/** The mtime, or now where a file system gives one that no calendar holds. */
function timeOf({ mtimeMs }: Stamp): string {
  const modified = new Date(mtimeMs);
  const year = modified.getUTCFullYear();
  return (year >= 0 && year <= 9_999 ? modified : new Date()).toISOString();
}
