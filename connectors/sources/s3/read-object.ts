import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import type { GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { SluiceError } from "sluice";
import { mediaTypeOf } from "../../_shared/media-type.ts";
import type { Bucket, ListedObject } from "./bucket.ts";
import type { Room } from "./desk.ts";
import { encodingsOf, readContent, type Encoding } from "./content.ts";
import { bareEtag, fingerprintOf } from "./fingerprint.ts";
import type { Integrity } from "./integrity.ts";
import { isAboutObject, refusalOf } from "./refusal.ts";
import { steadily } from "./steady.ts";

/** An object as it was read: in one state, that of its `etag`. */
export interface ReadObject {
  readonly fingerprint: string;
  readonly etag: string;
  readonly size: number;
  readonly modified: Date | undefined;
  readonly mediaType: string;
  readonly versionId: string | undefined;
  readonly userMetadata: Readonly<Record<string, string>>;
  /** Only where the content is still packed, because it could not be unpacked. */
  readonly contentEncoding: string | undefined;
  readonly content: { readonly text: string } | { readonly contentBase64: string };
}

export type Reading =
  | { readonly kind: "content"; readonly object: ReadObject }
  /** In the state that was emitted already; its body was not read. */
  | { readonly kind: "same" }
  | { readonly kind: "none" }
  | { readonly kind: "too-large"; readonly bytes: number | undefined }
  /** There, but not to be had: access to it is denied, or it must be restored from an archive. */
  | {
      readonly kind: "denied" | "archived" | "unreadable";
      readonly cause: unknown;
    };

export interface Wish {
  /** As the last listing shows it: it is read in that state, or else as it is now. */
  readonly listed: ListedObject | undefined;
  /** The state that needs no reading. */
  readonly known: string | undefined;
  readonly maxBytes: number;
  readonly isIntact: Integrity;
  readonly signal: AbortSignal;
  /** Asked before a body is read; there is always room by default. */
  readonly room?: Room;
  /** Also a known state is read if it is packed: it may be more now than is wanted. */
  readonly isRecheck?: boolean;
}

/** So small a body is read at once, whatever there is room for. */
const smallBytes = 16 * 1_024;
/** Replacements of an object, while it is read, that are followed. */
const maxReplaced = 5;

/**
 * Reads an object whole and in one state, up to `maxBytes`, and tells absent from forbidden. Throws the
 * SDK's error for what is wrong with more than this object, or may pass.
 */
export async function readObject(bucket: Bucket, key: string, wish: Wish): Promise<Reading> {
  let { listed } = wish;
  for (let replaced = 0; ; replaced++)
    try {
      return await read(bucket, key, wish, listed);
    } catch (error) {
      wish.signal.throwIfAborted();
      const refusal = refusalOf(error);
      if (refusal.name === "NoSuchKey") return { kind: "none" };
      // Replaced since it was listed, or since we began: what is there now counts.
      listed = undefined;
      if (refusal.status === 412 && replaced < maxReplaced) continue;
      if (refusal.name === "InvalidObjectState") return { kind: "archived", cause: error };
      if (!isAboutObject(refusal) || refusal.status === 412) throw error;
      // Without the right to list, or with a condition on it, an absent object is a forbidden one.
      if (refusal.status === 404 || refusal.status === 403)
        if (!(await bucket.find(key, wish))) return { kind: "none" };
      return { kind: refusal.status === 403 ? "denied" : "unreadable", cause: error };
    }
}

async function read(
  bucket: Bucket,
  key: string,
  { known, maxBytes, isIntact, isRecheck, signal, room = () => undefined }: Wish,
  listed: ListedObject | undefined,
): Promise<Reading> {
  const ask = () => bucket.get(key, { signal, ...(listed?.etag && { ifMatch: listed.etag }) });
  for (let answer = await ask(); ; answer = await ask()) {
    const { etag, size, modified } = stateOf(answer);
    // It is in the state that was listed, or we had been told; what listings and headers say may differ in some store.
    const fingerprint = listed?.fingerprint ?? fingerprintOf(bucket.name, { etag, size, modified });
    const plan = unpacking(key, answer);
    const isPacked = plan.encodings.length > 0;
    const isTooLarge = size > maxBytes;
    if (isTooLarge || (fingerprint === known && !(isRecheck && isPacked))) {
      bodyOf(answer).destroy();
      return isTooLarge ? { kind: "too-large", bytes: size } : { kind: "same" };
    }

    const isSmall = answer.ContentLength !== undefined && size <= smallBytes;
    // Only now is it known how much it is; packed, it may become anything.
    const bytes = isPacked || answer.ContentLength === undefined ? maxBytes : size;
    const small = isSmall ? await buffer(steadily(bodyOf(answer))) : undefined;
    const turn = room(isSmall && !isPacked ? 0 : bytes);
    if (turn !== undefined && !small) {
      // A body that nobody reads holds a connection, and is cut off in the end: asked for again later.
      bodyOf(answer).destroy();
      await turn;
      continue;
    }
    await turn;

    let content = await readContent(small ? streamOf(small) : bodyOf(answer), {
      ...plan,
      maxBytes,
    });
    let contentEncoding = plan.leftOn;
    if (content.kind === "undecodable") {
      // Not what it says it is: its bytes, as they lie there, are for a parser to refuse or to guess at.
      if (!small) answer = await bucket.get(key, { signal, ifMatch: etag });
      const encodings = content.isUnpacked ? plan.encodings : [];
      contentEncoding = content.isUnpacked ? undefined : plan.encodings.join(", ");
      const raw = { mediaType: "", encodings, maxBytes };
      content = await readContent(small ? streamOf(small) : bodyOf(answer), raw);
    }
    if (content.kind === "too-large" || content.kind === "undecodable")
      return { kind: "too-large", bytes: undefined };
    if (!isIntact(key, content.md5, answer))
      throw new SluiceError(`s3: what was read of "${key}" has not the MD5 of its ETag.`, {
        code: "s3.damaged",
      });
    return {
      kind: "content",
      object: {
        fingerprint,
        etag: bareEtag(etag),
        size,
        modified,
        contentEncoding,
        mediaType: plan.mediaType,
        versionId: answer.VersionId,
        userMetadata: answer.Metadata ?? {},
        content:
          content.kind === "text"
            ? { text: content.text }
            : { contentBase64: content.contentBase64 },
      },
    };
  }
}

function stateOf(answer: GetObjectCommandOutput) {
  return {
    etag: answer.ETag ?? "",
    size: answer.ContentLength ?? 0,
    modified: answer.LastModified,
  };
}

/** How to read the body: what it holds once what it is packed in is taken off. */
function unpacking(
  key: string,
  { ContentType, ContentEncoding, ContentLength }: GetObjectCommandOutput,
): {
  readonly mediaType: string;
  readonly encodings: readonly Encoding[];
  /** What it stays packed in. */
  readonly leftOn?: string | undefined;
} {
  const given = ContentType?.trim() ?? "";
  const type = given.split(";", 1)[0]?.trim().toLowerCase() ?? "";
  // What stores say when nobody told them the type.
  const isUnknown = ["", "application/octet-stream", "binary/octet-stream"].includes(type);
  // Nothing cannot be packed: what an upload of nothing is said to be.
  const isEmpty = ContentLength === 0;
  const encodings = isEmpty ? [] : encodingsOf(ContentEncoding);
  // Packed in something we do not know, or too often: opaque bytes.
  if (encodings === undefined)
    return { mediaType: "application/octet-stream", encodings: [], leftOn: ContentEncoding };
  const isGzip = ["application/gzip", "application/x-gzip"].includes(type);
  const inner = /\.gz$/i.test(key) ? mediaTypeOf(key.slice(0, -3)) : undefined;
  // `notes.txt.gz` is its text; of `backup.tar.gz` nothing can be said.
  if (encodings.length === 0 && (isGzip || isUnknown) && inner !== undefined)
    return inner === "application/octet-stream"
      ? { mediaType: "application/gzip", encodings: [] }
      : { mediaType: inner, encodings: isEmpty ? [] : ["gzip"] };
  return { mediaType: isUnknown ? mediaTypeOf(key) : given, encodings };
}

function bodyOf({ Body }: GetObjectCommandOutput): Readable {
  return Body as unknown as Readable; // on Node the SDK answers with one
}

function streamOf(bytes: Buffer): Readable {
  return Readable.from([bytes], { objectMode: false });
}
