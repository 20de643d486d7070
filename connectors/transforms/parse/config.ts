import { z } from "sluice";

const rows = z
  .strictObject({
    key: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe(
        "Columns that name a row for good. Without them a row is named by its content: one that changes is then a delete and a create.",
      ),
    text: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe("Columns that make a row's text, as lines `name: value`; all of them by default."),
    delimiter: z
      .string()
      .min(1)
      .max(4)
      .optional()
      .describe(
        "What stands between two columns of a CSV file: a comma, or a tab where its type says so.",
      ),
    maxRows: z
      .number()
      .int()
      .min(1)
      .max(100_000)
      .default(10_000)
      .describe("Most rows of one file; a longer one is a dead letter."),
    maxColumns: z
      .number()
      .int()
      .min(1)
      .max(20_000)
      .default(1_000)
      .describe("Most columns of a CSV file; a wider one is a dead letter."),
  })
  .describe(
    "Split CSV, TSV and NDJSON files into one document a row; without it such a file is one text.",
  );

export const config = z.strictObject({
  metadata: z
    .array(z.string().min(1))
    .max(50)
    .default([])
    .describe(
      "Fields to keep as metadata besides uri, title, modified and mediaType: of the record, of its `userMetadata`, of a row, of a JSON object, or of a Markdown file's front matter (its simple `key: value` lines).",
    ),
  rows: rows.optional(),
  maxBytes: z
    .number()
    .int()
    .min(1)
    .max(64 * 2 ** 20)
    .default(20_000_000)
    .describe("Largest content that is read, bytes; a larger one is a dead letter."),
  maxInflatedBytes: z
    .number()
    .int()
    .min(1)
    .max(2 ** 30)
    .default(100_000_000)
    .describe(
      "Most bytes that a DOCX file, or one stream of a PDF file, may unpack to; and most characters of the text that is made of a JSON file, or of all rows of a file.",
    ),
  maxPages: z.number().int().min(1).max(10_000).default(500).describe("Most pages of a PDF file."),
  timeoutMs: z
    .number()
    .int()
    .min(100)
    .max(600_000)
    .default(30_000)
    .describe("Milliseconds one file may take; a slower one is a dead letter."),
});

export type Options = z.output<typeof config>;
