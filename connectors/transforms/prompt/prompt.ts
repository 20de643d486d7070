import { defineTransform, PoisonError, z, type QuestionAsked } from "sluice";
import { estimatedCount, tokenizerCount } from "../../_shared/embedders/count-tokens.ts";
import { examine } from "../../_shared/liquid/examine.ts";
import { templateOption } from "../../_shared/liquid/option.ts";
import { runTemplate } from "../../_shared/liquid/run.ts";
import { askedBy, isQuestion } from "../../_shared/questions/asked-by.ts";
import { applyTogether } from "../../_shared/questions/apply-together.ts";
import { unexpected } from "../../_shared/text/apply-each.ts";
import { breather } from "../../_shared/text/breathe.ts";
import { fenced, type Turn } from "./fence.ts";
import { passagesOf } from "./passages.ts";

const standard = `{% if history != "" %}What was said before:

{{ history }}

{% endif %}What the data says:

{{ passages }}

Question: {{ question }}`;

const config = z.strictObject({
  template: templateOption
    .default(standard)
    .describe(
      "Liquid template of the prompt over three texts: `question`; `passages`, numbered and fenced as data; `history`, what was said before, fenced too, or empty.",
    ),
  maxTokens: z
    .number()
    .int()
    .min(100)
    .max(1_000_000)
    .default(12_000)
    .describe(
      "Most tokens of a prompt. The passages that fit least are left out first, then the oldest of what was said before.",
    ),
  tokenizer: z
    .string()
    .min(1)
    .optional()
    .meta({ path: true })
    .describe(
      "The language model's `tokenizer.json`, to count exactly; without it tokens are estimated, rather high.",
    ),
});

/** Writes what a language model is given: the question, what was said before, and the passages as numbered, fenced data. */
export const prompt = defineTransform({
  name: "prompt",
  version: "1.0.0",
  summary: "Writes the prompt for a question from the passages that were found.",
  config,
  accepts: ["dev.sluice.question."],
  emits: ["dev.sluice.question."],
  async open({ config: { template, maxTokens, tokenizer } }) {
    const examined = examine(template);
    const templates = "problems" in examined ? [] : examined.templates; // the schema has refused those
    const count = tokenizer === undefined ? estimatedCount : await tokenizerCount(tokenizer);

    async function write(
      event: QuestionAsked,
      { signal }: { readonly signal: AbortSignal },
    ): Promise<Partial<QuestionAsked["data"]>> {
      const breathe = breather(signal);
      let passages = passagesOf(event);
      let history: readonly Turn[] = event.data.history ?? [];
      for (;;) {
        await breathe();
        const texts = fenced(event.id, { passages, history });
        const scope = { ...texts, question: event.data.text };
        const prompt = await runTemplate(templates, scope, { isStrict: true, breathe });
        if (count(prompt) <= maxTokens) return { prompt, passages };
        // Sorted by how well they fit; the best one goes last of all.
        if (passages.length > 1) passages = passages.slice(0, -1);
        else if (history.length > 0) history = history.slice(1);
        else if (passages.length > 0) passages = [];
        else throw tooLong(event, maxTokens);
      }
    }

    return {
      apply: applyTogether("prompt", { maxConcurrent: 1 }, async (event, run) => {
        if (!isQuestion(event)) throw unexpected("prompt", event);
        return askedBy(event, await write(event, run));
      }),
    };
  },
});

function tooLong({ id, data }: QuestionAsked, maxTokens: number): PoisonError {
  return new PoisonError(
    `prompt: the question ${JSON.stringify(id)} of ${data.text.length} characters alone makes more than ${maxTokens} tokens.`,
    { code: "prompt.too-long", fix: "Raise maxTokens, or ask in fewer words." },
  );
}
