import {
  defineTransform,
  z,
  type DocumentUpserted,
  type Json,
  type Metadata,
  type RecordUpserted,
} from "sluice";
import { applyEach, unexpected } from "../../_shared/text/apply-each.ts";
import { isMarkdown } from "../../_shared/text/media-type.ts";
import { plainText } from "../../_shared/text/plain-text.ts";
import { contentOf } from "./content.ts";
import { frontMatter } from "./front-matter.ts";

type FromMarkdown = (typeof import("mdast-util-from-markdown"))["fromMarkdown"];

const config = z.strictObject({
  metadata: z
    .array(z.string().min(1))
    .max(50)
    .default([])
    .describe(
      "Fields to keep as metadata besides uri, title, modified and mediaType: of the record, or of a Markdown file's front matter (its simple `key: value` lines).",
    ),
});

/**
 * Turns file and object records into documents: Markdown (kept as source, front matter taken off)
 * and plain text.
 */
export const parse = defineTransform({
  name: "parse",
  version: "1.0.0",
  summary: "Makes documents of files and objects: Markdown and plain text.",
  config,
  accepts: ["dev.sluice.record."],
  emits: ["dev.sluice.document."],
  async open({ config }) {
    const { fromMarkdown } = await import("mdast-util-from-markdown");
    return {
      apply: (events) =>
        applyEach("parse", events, (event) => {
          if (event.type !== "dev.sluice.record.upserted") throw unexpected("parse", event);
          return documentOf(event, config.metadata, fromMarkdown);
        }),
    };
  },
});

function documentOf(
  event: RecordUpserted,
  wanted: readonly string[],
  fromMarkdown: FromMarkdown,
): DocumentUpserted {
  const { after, key } = event.data;
  const { text, mediaType, fileName } = contentOf(event.subject, after);
  const { fields, body } = isMarkdown(mediaType) ? frontMatter(text) : { fields: {}, body: text };
  const title =
    nonEmpty(fields["title"]) ?? (isMarkdown(mediaType) && headingOf(body, fromMarkdown));
  const metadata = {
    ...picked(wanted, { ...fields, ...after }),
    ...picked(["uri", "modified"], after),
    title: title || fileName,
    mediaType,
  };
  return {
    ...event,
    type: "dev.sluice.document.upserted",
    // The runner appends itself to the lineage, and gives the id of the stage.
    data: { key, text: body, metadata, mediaType, lineage: [] },
  };
}

/** The first heading. Looked for in the beginning only: the title of a text does not stand in its middle. */
function headingOf(text: string, fromMarkdown: FromMarkdown): string | undefined {
  const heading = fromMarkdown(text.slice(0, 8_192)).children.find(
    ({ type }) => type === "heading",
  );
  return heading && plainText(heading);
}

/** Flat, as metadata must be: empty values are left out, nested ones become JSON text. */
function picked(names: readonly string[], fields: Readonly<Record<string, Json>>): Metadata {
  const metadata: Record<string, Metadata[string]> = {};
  for (const name of names) {
    const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (value === undefined || value === null) continue;
    metadata[name] = flat(value);
  }
  return metadata;
}

function flat(value: Exclude<Json, null>): Metadata[string] {
  if (typeof value !== "object") return value;
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
  return JSON.stringify(value);
}

function nonEmpty(value: Metadata[string] | undefined): string | undefined {
  return value === undefined ? undefined : String(value).trim() || undefined;
}
