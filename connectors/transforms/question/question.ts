import { defineTransform, z, type QuestionAsked } from "sluice";
import { applyEach, unexpected } from "../../_shared/text/apply-each.ts";
import { askedIn } from "./asked-in.ts";

/** Makes questions of records: a file or object that holds a text or JSON, or a row with a column `text`. */
export const question = defineTransform({
  name: "question",
  version: "1.0.0",
  summary: "Makes questions of records: a file dropped into a folder or bucket asks.",
  config: z.strictObject({}),
  accepts: ["dev.sluice.record."],
  emits: ["dev.sluice.question."],
  // A question that was asked is asked, whatever becomes of its file.
  absorbs: ["dev.sluice.record.deleted", "dev.sluice.collection."],
  async open() {
    return {
      apply: (events, run) =>
        applyEach("question", events, run, (event) => {
          if (event.type !== "dev.sluice.record.upserted") throw unexpected("question", event);
          // A snapshot for whoever came late further on: what was answered is not asked again.
          if (event.audience?.includes("/")) return "skip";
          const data = askedIn(event);
          // Not `null`: no record went further that could be gone.
          if (data === undefined) return "skip";
          return { ...event, type: "dev.sluice.question.asked", data } satisfies QuestionAsked;
        }),
    };
  },
});
