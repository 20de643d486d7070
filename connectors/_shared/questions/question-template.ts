import { ConfigError, PoisonError, type QuestionAsked } from "sluice";
import { examine, problemText } from "../liquid/examine.ts";
import { runTemplate } from "../liquid/run.ts";
import { breather } from "../text/breathe.ts";

/** Makes a text of a question. Throws `PoisonError` for a question that lacks what it asks for. */
export type QuestionTemplate = (
  event: QuestionAsked,
  run: { readonly signal: AbortSignal },
) => Promise<string>;

/** A Liquid template over a question's attributes, and over its data as `data`: `{{ tenant }}`, `{{ data.conversation }}`. */
export function questionTemplate(source: string): QuestionTemplate {
  const examined = examine(source);
  if ("problems" in examined)
    throw new ConfigError(`question: ${examined.problems.map(problemText).join("; ")}.`, {
      code: "question.template",
      fix: "Correct the template.",
    });
  return async (event, { signal }) => {
    try {
      const breathe = breather(signal);
      return await runTemplate(examined.templates, event, { isStrict: true, breathe });
    } catch (cause) {
      signal.throwIfAborted();
      throw new PoisonError(
        `question: ${JSON.stringify(source)} makes nothing of the question ${JSON.stringify(event.id)}.`,
        {
          code: "question.lacks",
          fix: "Ask with the attributes that the template names, or correct it.",
          cause,
        },
      );
    }
  };
}
