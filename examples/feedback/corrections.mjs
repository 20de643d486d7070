import { createHash } from "node:crypto";
import { defineTransform, PartialError, PoisonError, upserted, version, z } from "sluice";

const rememberedForMs = 30 * 24 * 3_600_000;

/** Makes records of people's corrections: the index picks them up like any other, and the next answer knows better. */
export const corrections = defineTransform({
  name: "corrections",
  version: "1.0.0",
  summary: "Turns a correction of an answer into a record for the index.",
  config: z.strictObject({}),
  accepts: ["dev.sluice.answer.given", "dev.sluice.feedback.given"],
  emits: ["dev.sluice.record."],
  // Nothing comes of an answer but a note of what was asked.
  absorbs: ["dev.sluice.answer.", "dev.sluice.record.deleted", "dev.sluice.collection."],
  open: async ({ state }) => ({
    async apply(events) {
      const answers = events.filter(({ type }) => type === "dev.sluice.answer.given");
      await state.each(
        answers.map(({ id, data }) => ({
          key: `answer/${id}`,
          value: data.asked,
          ttlMs: rememberedForMs,
        })),
      );
      const failures = new Map();
      const slots = await Promise.all(
        events.map(async (event, at) => {
          const { rating, comment, answer } = event.data;
          if (event.type !== "dev.sluice.feedback.given" || rating >= 0 || !comment) return null;
          const [asked] = await state.get([`answer/${answer}`]);
          if (asked) return correction(asked.value, comment, event);
          failures.set(at, unknown(answer));
          return null;
        }),
      );
      if (failures.size > 0)
        throw new PartialError("corrections: some answers are not known.", {
          code: "corrections.some",
          failures,
        });
      return slots;
    },
  }),
});

/** One a question: a later correction takes the place of an earlier one. */
function correction(asked, comment, { time, id }) {
  const key = createHash("sha256").update(asked.trim().toLowerCase()).digest("hex").slice(0, 16);
  return upserted({
    source: "/feedback/corrections",
    key,
    subject: key,
    version: version({ epoch: 1, position: BigInt(Date.parse(time)), rank: 1, tail: 0 }),
    time,
    op: "update",
    after: {
      uri: `/feedback/${key}.md`,
      mediaType: "text/markdown",
      text: `# ${asked}\n\n${comment}\n`,
    },
    meta: { feedback: id },
  });
}

/** Nothing is lost: the feedback waits as a dead letter, to be replayed once the answer is known. */
function unknown(answer) {
  return new PoisonError(`corrections: no answer ${answer} was seen here.`, {
    code: "corrections.unknown-answer",
    fix: "Replay this once the topic of answers has caught up.",
  });
}
