import {
  defineTransform,
  z,
  type DocumentUpserted,
  type Log,
  type Output,
  type RecordUpserted,
} from "sluice";
import { applyEach, unexpected } from "../../_shared/text/apply-each.ts";
import type { Breathe } from "../../_shared/text/breathe.ts";
import { watchAbsent } from "./absent.ts";
import { TooMuch } from "../../_shared/liquid/canonical.ts";
import { templateOption } from "../../_shared/liquid/option.ts";
import { fieldsOf, wellFormed, type Fields } from "./fields.ts";
import { metadataConfig, metadataOf, path, picksOf, type Pick } from "./metadata.ts";
import { failed, missing, oversized } from "./problems.ts";
import { templateText } from "./template.ts";
import { allText, fieldsText, type Text } from "./text.ts";

const config = z
  .strictObject({
    template: templateOption
      .optional()
      .describe(
        "Liquid template of the text, over the record's fields: `{{ title }}`, `{{ author.name }}`. Paths and loops reach into JSON texts, and `parse_json` opens one. `date` is in UTC; what reads files, the clock or chance is refused.",
      ),
    fields: z
      .array(path)
      .min(1)
      .max(100)
      .optional()
      .describe(
        "Instead of a template: fields in the order in which they make the text, a paragraph each. Without both: every field that holds text, by name.",
      ),
    labels: z
      .boolean()
      .default(false)
      .describe("Begin each field's paragraph with its name: `title: …`. Not with a template."),
    metadata: metadataConfig
      .default([])
      .describe(
        'Fields to keep as metadata: a list of paths, or `{ "author": "author.name" }` to rename them. Texts, numbers, booleans and lists of them are kept, nulls left out, other values become JSON text.',
      ),
    mediaType: z
      .enum(["text/plain", "text/markdown", "text/html"])
      .default("text/plain")
      .describe("What the text is: `chunk` cuts Markdown along its headings."),
    missing: z
      .enum(["error", "empty"])
      .default("error")
      .describe(
        "A field that is named and a record lacks: a dead letter that says so, or as good as null, for records without a fixed shape.",
      ),
  })
  .refine(({ template, fields }) => template === undefined || fields === undefined, {
    message: "Give `template` or `fields`, not both.",
  })
  .refine(({ template, labels }) => template === undefined || !labels, {
    message: "Write the labels into the template: `labels` belongs to `fields`.",
  });

/**
 * Turns records into documents: a text by a template or of named fields, and metadata. A record whose
 * text is blank is no longer wanted. What the origin did not send is never rendered without.
 */
export const render = defineTransform({
  name: "render",
  version: "1.0.0",
  summary: "Makes documents of records: their text by a template or of fields, and metadata.",
  config,
  accepts: ["dev.sluice.record."],
  emits: ["dev.sluice.document."],
  async open({ config, log, meter }) {
    const plan = planOf(config, log);
    return {
      apply: async (events, run) => {
        const outputs = await applyEach("render", events, run, (event, breathe) => {
          if (event.type !== "dev.sluice.record.upserted") throw unexpected("render", event);
          return outputOf(event, plan, breathe);
        });
        const skipped = outputs.filter((output) => output === "skip").length;
        if (skipped > 0) meter("skipped", skipped, { reason: "unchanged" });
        return outputs;
      },
    };
  },
});

interface Plan {
  readonly text: Text;
  readonly picks: readonly Pick[];
  readonly mediaType: string;
  /** Fields that a record must have. */
  readonly required: readonly string[];
  readonly reads: (name: string) => boolean;
  readonly watch: (fields: Fields) => void;
}

function planOf(options: z.output<typeof config>, log: Log): Plan {
  const { template, fields, labels, metadata, mediaType } = options;
  const isStrict = options.missing === "error";
  const text =
    template !== undefined
      ? templateText(template, { isStrict })
      : fields
        ? fieldsText(fields, { labels, isStrict })
        : allText({ labels, isStrict });
  const picks = picksOf(metadata);
  const picked = new Set(picks.map(({ path: [name = ""] }) => name));
  const { read } = text;
  return {
    text,
    picks,
    mediaType,
    required: isStrict ? [...new Set([...text.required, ...picked])] : [],
    reads: (name) => read === "all" || read.has(name) || picked.has(name),
    watch: watchAbsent(
      [...[...text.required].map((name) => [name]), ...picks.map(({ path }) => path)],
      log,
    ),
  };
}

async function outputOf(event: RecordUpserted, plan: Plan, breathe: Breathe): Promise<Output> {
  const { key, after, unchanged = [], meta } = event.data;
  // The row is already gone and its delete follows: half a document must not be written before that.
  if (unchanged.some(plan.reads)) return "skip";
  const tooLong = leftOut(meta["oversized"]).filter(plan.reads);
  if (tooLong.length > 0) throw oversized(event, tooLong);
  const absent = plan.required.filter((name) => !Object.hasOwn(after, name));
  if (absent.length > 0) throw missing(event, absent);

  const fields = fieldsOf(after);
  plan.watch(fields);
  try {
    const text = wellFormed(await plan.text.of(event, fields, breathe));
    if (!/\S/.test(text)) return null;
    const metadata = metadataOf(plan.picks, fields);
    const data = { key, text, metadata, mediaType: plan.mediaType, lineage: [] };
    return { ...event, type: "dev.sluice.document.upserted", data } satisfies DocumentUpserted;
  } catch (error) {
    throw error instanceof TooMuch ? failed(event, error) : error;
  }
}

/** The names that a source puts in `meta.oversized`. */
function leftOut(names: unknown): readonly string[] {
  return Array.isArray(names) ? names.filter((name) => typeof name === "string") : [];
}
