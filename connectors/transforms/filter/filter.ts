import { defineTransform, z, type UpsertEvent } from "sluice";
import { applyEach } from "../../_shared/text/apply-each.ts";
import { conditions, fieldsOf, holds, requiredBy } from "./condition.ts";
import { reportDrops } from "./drops.ts";

const config = z
  .strictObject({
    where: conditions
      .optional()
      .describe(
        "Field → value or condition; all must hold. Paths start in a record's row (`data.after`) or a document's metadata (`data.metadata`): `lang`, not `metadata.lang`. Dots reach into objects.",
      ),
    any: z
      .array(conditions)
      .min(1)
      .optional()
      .describe("Alternatives of the same form; at least one must hold."),
  })
  .refine(({ where, any }) => where !== undefined || any !== undefined, {
    message: "Give `where`, `any` or both: a filter without either keeps everything.",
  });

/**
 * Keeps what meets the conditions: on a record's fields (`after`), on a document's metadata. What
 * stops meeting them is deleted downstream.
 */
export const filter = defineTransform({
  name: "filter",
  version: "1.0.0",
  summary: "Keeps records by content; what no longer fits is deleted downstream.",
  config,
  accepts: ["dev.sluice.record.", "dev.sluice.document."],
  emits: [""],
  async open({ config: { where = {}, any = [{}] }, log, meter }) {
    const read = new Set([where, ...any].flatMap(fieldsOf));
    const report = reportDrops({ paths: [where, ...any].flatMap(requiredBy), log, meter });
    return {
      apply: async (events, run) => {
        const outputs = await applyEach("filter", events, run, (event) => {
          if (isPartial(event, read)) return event;
          const fields = fieldsIn(event);
          report.sees(fields);
          return holds(where, fields) && any.some((wanted) => holds(wanted, fields)) ? event : null;
        });
        report.drops(outputs.filter((output) => output === null).length);
        return outputs;
      },
    };
  },
});

/** The origin did not say what a condition reads because the record is already gone; its delete follows. */
function isPartial(event: UpsertEvent, read: ReadonlySet<string>): boolean {
  return (
    event.type === "dev.sluice.record.upserted" &&
    (event.data.unchanged ?? []).some((name) => read.has(name))
  );
}

function fieldsIn(event: UpsertEvent) {
  return event.type === "dev.sluice.record.upserted" ? event.data.after : event.data.metadata;
}
