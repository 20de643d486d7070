import { PoisonError, type JsonObject } from "sluice";
import type { FromMarkdown } from "../../_shared/text/blocks.ts";
import type { Breathe } from "../../_shared/text/breathe.ts";
import { isMarkdown } from "../../_shared/text/media-type.ts";
import type { Content } from "./content.ts";
import { frontMatter } from "./front-matter.ts";
import { markdownOf, type HtmlParser } from "./html.ts";
import { isObject, linesOf, parsedJson } from "./json.ts";
import type { OfficeThread } from "./office-thread.ts";
import { isRows } from "./rows.ts";
import { headingOf } from "./title.ts";

/** A file as one text. */
export interface Reading {
  readonly text: string;
  /** Of the text: Markdown where the file had headings and lists. */
  readonly mediaType: string;
  readonly title?: string | undefined;
  /** What the file says of itself, for metadata. */
  readonly fields?: JsonObject;
}

export interface Run {
  readonly fromMarkdown: FromMarkdown;
  readonly Parser: HtmlParser;
  readonly office: OfficeThread;
  readonly breathe: Breathe;
  /** Told of text that is made of the file; throws when it is too much. */
  readonly grow: (length: number) => void;
  readonly signal: AbortSignal;
}

const docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

/** Reads a file by its media type. Throws `PoisonError` for what cannot be read, or not within its limits. */
export async function read(content: Content, run: Run): Promise<Reading> {
  const { mediaType, address } = content;
  const { breathe, office, signal } = run;
  if (isMarkdown(mediaType)) {
    const { fields, body } = frontMatter(await content.text(breathe));
    const stated = textOf(fields["title"]);
    return { text: body, mediaType, fields, title: stated ?? (await headingOf(body, run)) };
  }
  if (mediaType === "text/plain" || isRows(mediaType))
    return { text: await content.text(breathe), mediaType: "text/plain" };
  if (mediaType === "text/html" || mediaType === "application/xhtml+xml")
    return markdown(await markdownOf(await content.text(breathe), address, run));
  if (/^application\/(.*\+)?json$/.test(mediaType)) {
    const value = parsedJson(await content.text(breathe), address);
    const fields = isObject(value) ? value : {};
    const title = textOf(fields["title"]) ?? textOf(fields["name"]);
    return { text: await linesOf(value, run), mediaType: "text/plain", fields, title };
  }
  if (mediaType === "application/pdf") {
    const answer = await office.read({ kind: "pdf", bytes: content.bytes() }, { address, signal });
    const { pages, title } = answer.kind === "pdf" ? answer : { pages: [], title: undefined };
    const text = pages
      .map((page) => page.trim())
      .filter((page) => page !== "")
      .join("\n\n");
    if (text === "")
      throw new PoisonError(`parse: "${address}" has no text on its ${pages.length} pages.`, {
        code: "parse.no-text",
        fix: "Run a text recognition over it, or exclude the file in the source.",
      });
    return { text: wellFormed(text), mediaType: "text/plain", title: title?.trim() };
  }
  if (mediaType === docx) {
    const answer = await office.read({ kind: "docx", bytes: content.bytes() }, { address, signal });
    return markdown(await markdownOf(answer.kind === "docx" ? answer.html : "", address, run));
  }
  const isUnknown = mediaType === "application/octet-stream";
  throw new PoisonError(
    `parse: "${address}" is ${isUnknown ? "of an unknown media type" : mediaType}; read are Markdown, text, HTML, JSON, PDF, DOCX, CSV and NDJSON.`,
    {
      code: "parse.unsupported",
      fix: "Exclude such records in the source, or drop them with a `filter` transform before `parse`.",
    },
  );
}

function markdown({ text, title }: { text: string; title: string | undefined }): Reading {
  return { text: wellFormed(text), mediaType: "text/markdown", title };
}

/** Entities and fonts may stand for what no text may hold. */
function wellFormed(text: string): string {
  return text.toWellFormed().replaceAll("\0", "\u{FFFD}");
}

function textOf(value: unknown): string | undefined {
  const isPlain = ["string", "number", "boolean"].includes(typeof value);
  return isPlain ? String(value).trim() || undefined : undefined;
}
