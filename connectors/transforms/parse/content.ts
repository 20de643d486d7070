import { PoisonError, type JsonObject } from "sluice";
import type { Breathe } from "../../_shared/text/breathe.ts";
import { isMarkdown } from "../../_shared/text/media-type.ts";

/** What a file or object record holds, decoded. */
export interface Content {
  /** Without byte order mark, lines ended by `\n`, well-formed. */
  readonly text: string;
  /** Lower case, without parameters. */
  readonly mediaType: string;
  /** The last part of its address. */
  readonly fileName: string;
}

const mediaTypes: ReadonlyMap<string, string> = new Map([
  ["md", "text/markdown"],
  ["markdown", "text/markdown"],
  ["txt", "text/plain"],
  ["text", "text/plain"],
]);

/** Decodes the content of a record. Throws `PoisonError` where that cannot be done faithfully. */
export async function contentOf(
  subject: string,
  after: JsonObject,
  breathe: Breathe,
): Promise<Content> {
  const address = textOf(after["uri"]) ?? subject;
  const fileName = lastPart(address);
  const { mediaType, charset } = mediaTypeOf(textOf(after["mediaType"]), fileName);
  if (!isMarkdown(mediaType) && mediaType !== "text/plain")
    throw unsupported(`"${address}" is ${mediaType || "of an unknown media type"}`);
  const raw = textOf(after["text"]) ?? decoded(address, textOf(after["contentBase64"]), charset);
  if (raw === undefined) throw unsupported(`"${address}" (${mediaType}) comes without its content`);
  return { text: await cleaned(raw, breathe), mediaType, fileName };
}

function mediaTypeOf(given: string | undefined, fileName: string) {
  const [type = "", ...parameters] = (given ?? "").toLowerCase().split(";");
  const mediaType = type.trim();
  const charset = parameters
    .map((parameter) => /^\s*charset\s*=\s*"?([^"\s]+)"?\s*$/.exec(parameter)?.[1])
    .find((found) => found !== undefined);
  // What stores say when nobody told them the type.
  const unknown = ["", "application/octet-stream", "binary/octet-stream"].includes(mediaType);
  const extension = /\.([^.]+)$/.exec(fileName)?.[1]?.toLowerCase() ?? "";
  return { mediaType: unknown ? (mediaTypes.get(extension) ?? mediaType) : mediaType, charset };
}

function decoded(address: string, base64: string | undefined, charset = "utf-8") {
  if (base64 === undefined) return undefined;
  try {
    return new TextDecoder(charset, { fatal: true }).decode(Buffer.from(base64, "base64"));
  } catch (cause) {
    throw new PoisonError(`parse: the content of "${address}" is not ${charset}.`, {
      code: "parse.invalid",
      fix: "Save it as UTF-8, or state its charset in the media type (`text/plain; charset=…`).",
      cause,
    });
  }
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

function unsupported(what: string): PoisonError {
  return new PoisonError(`parse: ${what}; only Markdown and plain text with content are read.`, {
    code: "parse.unsupported",
    fix: "Exclude such records in the source, or drop them with a `filter` transform before `parse`.",
  });
}
