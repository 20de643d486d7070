import type { AnswerGiven, Citation, QuestionAsked } from "sluice";

/** What is said where the data holds no answer. */
export const notInData = "Not in the data.";

/** True for an answer that says that there is none. */
export function isNotInData(text: string): boolean {
  return /^\W*not in the data\b/i.test(text);
}

/** What somebody said to a question. */
export type Said = Pick<
  AnswerGiven["data"],
  "text" | "isAnswered" | "isCut" | "citations" | "model" | "tokens"
>;

/** The passages that a text cites as `[1]` or `[1, 3]`. */
export function cited(text: string, passages: readonly Citation[]): readonly Citation[] {
  const numbers = new Set<number>();
  for (const [, list = ""] of text.matchAll(/\[(\d{1,4}(?:\s*[,;]\s*\d{1,4})*)\]/g))
    for (const [number] of list.matchAll(/\d+/g)) numbers.add(Number(number));
  return passages.filter(({ n }) => numbers.has(n));
}

/** The question's event turned into its answer. */
export function answerTo(event: QuestionAsked, said: Said): AnswerGiven {
  const { data: asked, dataschema: _schema, ...attributes } = event;
  const { id, correlationid = id } = event;
  const { question = id, text, conversation, asOf } = asked;
  const { isCut, tokens, ...rest } = said;
  return {
    ...attributes,
    type: "dev.sluice.answer.given",
    time: new Date().toISOString(),
    correlationid,
    data: {
      question,
      asked: text,
      ...(conversation !== undefined && { conversation }),
      ...rest,
      ...(isCut && { isCut }),
      ...(tokens && { tokens }),
      ...(asOf && { asOf }),
    },
  };
}
