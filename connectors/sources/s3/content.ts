import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { SluiceError } from "sluice";
import { isTextual } from "../../_shared/media-type.ts";
import { steadily } from "./steady.ts";

/** What came out of an object's body, decoded once on its way: it is never in memory twice. */
export type Content =
  | { readonly kind: "text"; readonly text: string; readonly md5: string }
  | { readonly kind: "bytes"; readonly contentBase64: string; readonly md5: string }
  /** More than `maxBytes`, perhaps only after decompression, or between two of them. */
  | { readonly kind: "too-large" }
  /** Not in its charset; or, unless `isUnpacked`, not in its encodings: only bytes can be told. */
  | { readonly kind: "undecodable"; readonly isUnpacked: boolean };

/** What the body is packed in, as HTTP names it: the first to be taken off last. */
export type Encoding = "gzip" | "deflate" | "br";

/** Nobody packs more often, but to make others work. */
const maxEncodings = 3;

/**
 * Reads a body to its end, or as far as it is wanted: nowhere on the way are there more than `maxBytes`, so
 * the work is bounded however little comes out. Throws what the stream throws, and what comes of a trickle.
 */
export async function readContent(
  body: Readable,
  as: {
    readonly mediaType: string;
    readonly encodings: readonly Encoding[];
    readonly maxBytes: number;
  },
): Promise<Content> {
  const md5 = createHash("md5");
  const decoder = textDecoder(as.mediaType);
  const collected = decoder ? textFrom(decoder) : base64();
  const hashed = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      md5.update(chunk);
      yield chunk;
    }
  };
  // Where a stage fails the pipeline aborts the others, and may throw their aborts instead of what it was.
  let first: unknown;
  const note = (error: unknown) => {
    if (isVerdict(error) || error instanceof SluiceError) first ??= error;
  };
  const bounded = async function* (chunks: AsyncIterable<Buffer>) {
    let bytes = 0;
    for await (const chunk of chunks) {
      bytes += chunk.length;
      if (bytes > as.maxBytes) {
        note(tooLarge);
        throw tooLarge;
      }
      yield chunk;
    }
  };
  const collect = async (chunks: AsyncIterable<Buffer>) => {
    try {
      for await (const chunk of chunks) collected.add(chunk);
    } catch (error) {
      note(error);
      throw error;
    }
  };
  const stages = as.encodings.flatMap((encoding) => [
    decompressor(encoding).once("error", note),
    bounded,
  ]);
  const steady = () => steadily(body);
  try {
    await through(body.once("error", note), steady, hashed, bounded, ...stages, collect);
    return { ...collected.end(), md5: md5.digest("hex") };
  } catch (thrown) {
    const error = first ?? thrown;
    if (!isVerdict(error)) throw error;
    if (error === tooLarge) return { kind: "too-large" };
    return { kind: "undecodable", isUnpacked: error === notText };
  }
}

// Its types know no list of stages of different kinds.
const through = pipeline as (...stages: readonly unknown[]) => Promise<void>;
const tooLarge = new Error("more bytes than are wanted");
const notText = new Error("not in the charset that it should be in");

/** The encodings we can take off; undefined when one is unknown, or they are too many. */
export function encodingsOf(header: string | undefined): readonly Encoding[] | undefined {
  const encodings: Encoding[] = [];
  for (const part of (header ?? "").toLowerCase().split(",")) {
    const name = part.trim();
    // `aws-chunked` is of the upload; some stores keep it.
    if (["", "identity", "aws-chunked"].includes(name)) continue;
    if (name === "gzip" || name === "x-gzip") encodings.unshift("gzip");
    else if (name === "deflate" || name === "br") encodings.unshift(name);
    else return undefined;
  }
  return encodings.length > maxEncodings ? undefined : encodings;
}

/** For media types whose content is text; undefined for others, and for charsets nobody knows. */
function textDecoder(mediaType: string) {
  const [type = "", ...parameters] = mediaType.split(";");
  if (!isTextual(type.trim().toLowerCase())) return undefined;
  const charset = parameters
    .map((parameter) => /^\s*charset\s*=\s*"?([^"\s]+)"?\s*$/i.exec(parameter)?.[1])
    .find((found) => found !== undefined);
  try {
    return new TextDecoder(charset ?? "utf-8", { fatal: true });
  } catch {
    // An unknown charset: the bytes go to whoever parses them, with the media type that says so.
    return undefined;
  }
}

function textFrom(decoder: NonNullable<ReturnType<typeof textDecoder>>) {
  let text = "";
  const decode = (chunk: Buffer | undefined) => {
    try {
      text += chunk ? decoder.decode(chunk, { stream: true }) : decoder.decode();
    } catch {
      // Only a fatal decoder's refusal comes here.
      throw notText;
    }
  };
  return {
    add: decode,
    end: () => {
      decode(undefined);
      return { kind: "text", text } as const;
    },
  };
}

function base64() {
  let contentBase64 = "";
  let rest: Buffer = Buffer.alloc(0);
  return {
    add: (chunk: Buffer) => {
      const all = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
      // Three bytes make four characters: only whole ones can be put behind one another.
      const whole = all.length - (all.length % 3);
      contentBase64 += all.toString("base64", 0, whole);
      rest = all.subarray(whole);
    },
    end: () => ({ kind: "bytes", contentBase64: contentBase64 + rest.toString("base64") }) as const,
  };
}

function decompressor(encoding: Encoding) {
  if (encoding === "br") return createBrotliDecompress();
  return encoding === "gzip" ? createGunzip() : createInflate();
}

/** True for what says something about the content; all else is about the way here. */
function isVerdict(error: unknown): boolean {
  return error === tooLarge || error === notText || isOfZlib(error);
}

function isOfZlib(error: unknown): boolean {
  return (
    error instanceof Error &&
    "code" in error &&
    /^(Z_|ERR_.*_ERROR_)|^ERR_BROTLI/.test(String(error.code))
  );
}
