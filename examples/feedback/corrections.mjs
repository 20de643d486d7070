import { createHash } from "node:crypto";
import { defineTransform, upserted, version, z } from "sluice";

const rememberedForMs = 30 * 24 * 3_600_000;

/** Makes records of people's corrections: the index picks them up like any other, and the next answer knows better. */
export const corrections = defineTransform({
  name: "corrections",
  version: "1.1.0",
  summary: "Turns a correction of an answer into a record for the index.",
  config: z.strictObject({}),
  accepts: ["dev.sluice.answer.given", "dev.sluice.feedback.given"],
  emits: ["dev.sluice.record."],
  absorbs: ["dev.sluice.record.deleted", "dev.sluice.collection."],
  open: async ({ state, meter }) => {
    // Answers and feedback come on different ways, in any order: each is noted first, and then the other looked up.
    // So whoever is second finds both; where both find both, they make the same record.
    async function met(noted, wanted) {
      await state.each([{ ...noted, ttlMs: rememberedForMs }]);
      const [found] = await state.get([wanted]);
      return found?.value;
    }

    async function recordOf({ id, type, time, data }) {
      if (type === "dev.sluice.answer.given") {
        const feedback = await met({ key: `answer/${id}`, value: data.asked }, `feedback/${id}`);
        return feedback ? correction(data.asked, feedback) : null;
      }
      const { answer, rating, comment } = data;
      if (rating >= 0 || !comment) return null;
      const feedback = { id, time, comment };
      const asked = await met({ key: `feedback/${answer}`, value: feedback }, `answer/${answer}`);
      if (asked) return correction(asked, feedback);
      meter("waiting_for_answer", 1);
      return null;
    }

    return { apply: (events) => Promise.all(events.map(recordOf)) };
  },
});

/** One a question: a later correction takes the place of an earlier one. */
function correction(asked, { id, time, comment }) {
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
