import { PoisonError, type Applicable, type QuestionAsked } from "sluice";

/** True for a question that can be worked on. Throws `PoisonError` for one without a text: it came from outside. */
export function isQuestion(event: Applicable): event is QuestionAsked {
  if (event.type !== "dev.sluice.question.asked") return false;
  const { data } = event as { readonly data?: unknown };
  const { text } = (data ?? {}) as { readonly text?: unknown };
  if (typeof text === "string" && text.trim() !== "") return true;
  throw new PoisonError(`question: the question ${JSON.stringify(event.id)} has no text.`, {
    code: "question.no-text",
    fix: "Put what is asked into data.text.",
  });
}

/**
 * The question with what a stage found out. The first stage also notes who asked: later the event's id is another
 * one, and an answer must name the question that somebody knows.
 */
export function askedBy(
  event: QuestionAsked,
  found: Partial<QuestionAsked["data"]>,
): QuestionAsked {
  const { id, correlationid = id, data } = event;
  return { ...event, correlationid, data: { ...data, question: data.question ?? id, ...found } };
}
