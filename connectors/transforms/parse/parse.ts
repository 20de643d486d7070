import {
  defineTransform,
  z,
  type DocumentUpserted,
  type Json,
  type Metadata,
  type RecordUpserted,
} from "sluice";
import { applyEach, unexpected } from "../../_shared/text/apply-each.ts";
import { blocksOf, type FromMarkdown } from "../../_shared/text/blocks.ts";
import type { Breathe } from "../../_shared/text/breathe.ts";
import { isMarkdown } from "../../_shared/text/media-type.ts";
import { plainText } from "../../_shared/text/plain-text.ts";
import { contentOf } from "./content.ts";
import { frontMatter } from "./front-matter.ts";

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
      apply: (events, run) =>
        applyEach("parse", events, run, (event, breathe) => {
          if (event.type !== "dev.sluice.record.upserted") throw unexpected("parse", event);
          return documentOf(event, config.metadata, { fromMarkdown, breathe });
        }),
    };
  },
});

interface Run {
  readonly fromMarkdown: FromMarkdown;
  readonly breathe: Breathe;
}

async function documentOf(
  event: RecordUpserted,
  wanted: readonly string[],
  run: Run,
): Promise<DocumentUpserted> {
  const { after, key } = event.data;
  const { text, mediaType, fileName } = await contentOf(event.subject, after, run.breathe);
  const { fields, body } = isMarkdown(mediaType) ? frontMatter(text) : { fields: {}, body: text };
  const title =
    nonEmpty(fields["title"]) ?? (isMarkdown(mediaType) && (await headingOf(body, run)));
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
async function headingOf(text: string, run: Run): Promise<string | undefined> {
  const beginning = text.slice(0, 8_192);
  for await (const { type, start, end } of blocksOf(beginning, run)) {
    if (type !== "heading") continue;
    // The parser takes quadratic time for marks inside of lines.
    const source = beginning.slice(start, Math.min(end, start + 1_000));
    const markdown = [source, ...definitionsFor(source, beginning)].join("\n\n");
    const heading = run.fromMarkdown(markdown).children.find((node) => node.type === "heading");
    if (heading) return plainText(heading);
  }
  return undefined;
}

/** The lines that say where the links of a heading lead: without them `[text][label]` is no link. */
function definitionsFor(heading: string, text: string): readonly string[] {
  const labels = heading.toLowerCase();
  return Array.from(text.matchAll(/^ {0,3}\[([^\][\n]{1,100})\]:[ \t]*\S.{0,500}$/gm))
    .filter(([, label = ""]) => labels.includes(`[${label.toLowerCase()}]`))
    .slice(0, 10)
    .map(([line]) => line);
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
