import { PoisonError, type Citation, type QuestionAsked } from "sluice";
import { sourcePointOf } from "../../_shared/questions/as-of.ts";

/** The passages that were found, the best first, numbered from 1. Throws `PoisonError` where none can be quoted. */
export function passagesOf({ id, data }: QuestionAsked): readonly Citation[] {
  const { matches } = data;
  if (matches === undefined)
    throw new PoisonError(`prompt: nothing was looked up for the question ${JSON.stringify(id)}.`, {
      code: "prompt.no-matches",
      fix: "Put `retrieve` before `prompt`.",
    });
  const quotable = matches.flatMap(({ id: chunk, score, metadata }) => {
    const { text, _subject: subject } = metadata;
    if (typeof text !== "string" || text.trim() === "") return [];
    return [
      {
        ...sourcePointOf(metadata),
        subject: String(subject ?? chunk),
        chunk,
        score,
        passage: text,
      },
    ];
  });
  if (quotable.length === 0 && matches.length > 0)
    throw new PoisonError("prompt: the index holds no texts beside its vectors.", {
      code: "prompt.no-text",
      fix: "Set metadata.text to true in the sink of the index.",
    });
  // Stable: of equal scores the index's order stays.
  return quotable
    .toSorted((a, b) => b.score - a.score)
    .map((passage, at) => ({ n: at + 1, ...passage }));
}
