import {
  childOf,
  defineTransform,
  type DocumentUpserted,
  type Output,
  type RecordUpserted,
} from "sluice";
import { applyEach, unexpected } from "../../_shared/text/apply-each.ts";
import { config } from "./config.ts";
import { contentOf, type Content } from "./content.ts";
import { picked, userMetadataOf } from "./metadata.ts";
import { openOfficeThread } from "./office-thread.ts";
import { read, type Reading, type Run } from "./read.ts";
import { growth, tooLarge, tooSlow } from "./refusals.ts";
import { isRows, rowsOf, type Row } from "./rows.ts";

/**
 * Turns file and object records into documents: Markdown (kept as source, front matter taken off) and
 * plain text; HTML and DOCX as Markdown; the text of PDF; JSON as lines; CSV and NDJSON whole or a row each.
 */
export const parse = defineTransform({
  name: "parse",
  version: "1.1.0",
  summary:
    "Makes documents of files and objects: Markdown, text, HTML, JSON, PDF, DOCX, CSV, NDJSON.",
  config,
  accepts: ["dev.sluice.record."],
  emits: ["dev.sluice.document."],
  async open({ config: options }) {
    const { fromMarkdown } = await import("mdast-util-from-markdown");
    const { Parser } = await import("htmlparser2");
    const office = openOfficeThread(options);
    return {
      splits: options.rows !== undefined,
      apply: (events, { signal }) =>
        applyEach("parse", events, { signal }, async (event, breathe) => {
          if (event.type !== "dev.sluice.record.upserted") throw unexpected("parse", event);
          const content = contentOf(event.subject, event.data.after);
          const { address, size } = content;
          if (size > options.maxBytes) throw tooLarge(address, `${size} bytes`, "maxBytes");
          const until = performance.now() + options.timeoutMs;
          const run: Run = {
            fromMarkdown,
            Parser,
            office,
            signal,
            grow: growth(address, options.maxInflatedBytes),
            breathe: async () => {
              await breathe();
              if (performance.now() > until) throw tooSlow(address, options.timeoutMs);
            },
          };
          const { rows, metadata } = options;
          if (rows === undefined || !isRows(content.mediaType))
            return documentOf(event, content, await read(content, run), metadata);
          const text = await content.text(run.breathe);
          const all = await rowsOf(text, content, { ...run, options: rows });
          return all.map((row) => rowOf(event, content, row, metadata));
        }),
      close: office.close,
    };
  },
});

function documentOf(
  event: RecordUpserted,
  { fileName, mediaType }: Content,
  reading: Reading,
  wanted: readonly string[],
): Output {
  const { after, key } = event.data;
  const metadata = {
    ...picked(wanted, { ...userMetadataOf(after), ...reading.fields, ...after }),
    ...picked(["uri", "modified"], after),
    title: reading.title || fileName,
    mediaType,
  };
  const { text } = reading;
  return {
    ...event,
    type: "dev.sluice.document.upserted",
    // The runner appends itself to the lineage, and gives the id of the stage.
    data: { key, text, metadata, mediaType: reading.mediaType, lineage: [] },
  };
}

function rowOf(
  event: RecordUpserted,
  { fileName, mediaType }: Content,
  { key, fields, text }: Row,
  wanted: readonly string[],
): DocumentUpserted {
  const { after } = event.data;
  const title = [fields["title"], fields["name"]].find(
    (value) => typeof value === "string" && value !== "",
  );
  return childOf<DocumentUpserted>(event, key, {
    type: "dev.sluice.document.upserted",
    data: {
      key: [event.data.key, key],
      text,
      mediaType: "text/plain",
      metadata: {
        ...picked(wanted, { ...userMetadataOf(after), ...after, ...fields }),
        ...picked(["uri", "modified"], after),
        title: typeof title === "string" ? title : fileName,
        mediaType,
        row: key,
      },
      lineage: [],
    },
  });
}
