import type { QuestionAsked } from "sluice";

/** A question as somebody asks it. */
export function question(
  text: string,
  more: { readonly id?: string; readonly data?: Partial<QuestionAsked["data"]> } = {},
): QuestionAsked {
  return {
    specversion: "1.0",
    id: more.id ?? "q1",
    source: "/test/asker",
    type: "dev.sluice.question.asked",
    time: "2026-01-01T00:00:00Z",
    data: { text, ...more.data },
  };
}
