import { PoisonError, type JsonObject } from "sluice";
import { mediaTypeOf } from "../../_shared/media-type.ts";
import type { Breathe } from "../../_shared/text/breathe.ts";
import { damaged } from "./refusals.ts";

/** What a file or object record holds, not yet decoded. */
export interface Content {
  /** Its address, as it stands in messages. */
  readonly address: string;
  /** Lower case, without parameters. */
  readonly mediaType: string;
  /** The last part of its address. */
  readonly fileName: string;
  /** In UTF-16 code units for text, else in bytes. */
  readonly size: number;
  /** Without byte order mark, lines ended by `\n`, well-formed. Throws `PoisonError` if it is not in its charset. */
  readonly text: (breathe: Breathe) => Promise<string>;
  readonly bytes: () => Buffer;
}

/** The content of a record. Throws `PoisonError` where it has none. */
export function contentOf(subject: string, after: JsonObject): Content {
  const address = textOf(after["uri"]) ?? subject;
  const fileName = lastPart(address);
  const { mediaType, charset } = typeOf(textOf(after["mediaType"]), fileName);
  const text = textOf(after["text"]);
  const base64 = textOf(after["contentBase64"]);
  const packed = textOf(after["contentEncoding"]);
  if (packed !== undefined)
    throw damaged(address, `it is packed (${packed}), or said to be, and cannot be unpacked`);
  if (text === undefined && base64 === undefined)
    throw new PoisonError(`parse: "${address}" (${mediaType}) comes without its content.`, {
      code: "parse.unsupported",
      fix: "Exclude such records in the source, or drop them with a `filter` transform before `parse`.",
    });
  return {
    address,
    mediaType,
    fileName,
    size: text?.length ?? Math.floor(((base64?.length ?? 0) * 3) / 4),
    text: async (breathe) =>
      await cleaned(
        text ?? decoded(address, Buffer.from(base64 ?? "", "base64"), mediaType, charset),
        breathe,
      ),
    bytes: () => (text === undefined ? Buffer.from(base64 ?? "", "base64") : Buffer.from(text)),
  };
}

function typeOf(given: string | undefined, fileName: string) {
  const [type = "", ...parameters] = (given ?? "").toLowerCase().split(";");
  const mediaType = type.trim();
  const charset = parameters
    .map((parameter) => /^\s*charset\s*=\s*"?([^"\s]+)"?\s*$/.exec(parameter)?.[1])
    .find((found) => found !== undefined);
  // What stores say when nobody told them the type.
  const unknown = ["", "application/octet-stream", "binary/octet-stream"].includes(mediaType);
  return { mediaType: unknown ? mediaTypeOf(fileName) : mediaType, charset };
}

function decoded(
  address: string,
  bytes: Buffer,
  mediaType: string,
  stated: string | undefined,
): string {
  const isHtml = mediaType === "text/html" || mediaType === "application/xhtml+xml";
  const charset = markOf(bytes) ?? stated ?? (isHtml ? charsetOfHtml(bytes) : undefined) ?? "utf-8";
  try {
    return new TextDecoder(charset, { fatal: true }).decode(bytes);
  } catch (cause) {
    // What browsers take a page for that does not say.
    if (isHtml && stated === undefined) return new TextDecoder("windows-1252").decode(bytes);
    throw new PoisonError(`parse: the content of "${address}" is not ${charset}.`, {
      code: "parse.invalid",
      fix: "Save it as UTF-8, or state its charset in the media type (`text/plain; charset=…`).",
      cause,
    });
  }
}

/** The charset of a byte order mark, which says more than whoever labelled the file: what Excel calls Unicode. */
function markOf(bytes: Buffer): string | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return "utf-16le";
  return bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : undefined;
}

/** What the beginning of a page says of its own charset. */
function charsetOfHtml(bytes: Buffer): string | undefined {
  const beginning = bytes.toString("latin1", 0, 1_024);
  return /<meta[^>]{0,500}charset\s*=\s*["']?([\w:.-]{1,40})/i.exec(beginning)?.[1];
}

async function cleaned(text: string, breathe: Breathe): Promise<string> {
  const parts: string[] = [];
  for (let from = text.startsWith("\uFEFF") ? 1 : 0, to = from; from < text.length; from = to) {
    await breathe();
    to = from + 65_536;
    // Never between the two halves of a line end or a character.
    if (/[\n\uDC00-\uDFFF]/.test(text[to] ?? "")) to++;
    const part = text.slice(from, to).replaceAll(/\r\n?/g, "\n");
    parts.push(part.toWellFormed().replaceAll("\0", "\u{FFFD}"));
  }
  return parts.join("");
}

function lastPart(address: string): string {
  const part = address.replace(/[?#].*$/, "").replace(/\/+$/, "");
  const encoded = part.slice(part.lastIndexOf("/") + 1);
  try {
    return decodeURIComponent(encoded);
  } catch {
    // Not an encoded address: a path whose name holds a bare percent sign.
    return encoded;
  }
}

function textOf(value: JsonObject[string] | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}
