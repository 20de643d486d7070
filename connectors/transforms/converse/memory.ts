import { hash } from "node:crypto";
import type { AnswerGiven, Json, StateStore } from "sluice";

/** What was asked and what was said to it. */
export interface Turn {
  readonly question: string;
  readonly answer: string;
}

export interface Conversations {
  /** Notes a question and tells what was said before it. The same question again changes nothing. */
  readonly asked: (question: {
    readonly conversation: string;
    /** Id of its event. */
    readonly question: string;
    readonly text: string;
  }) => Promise<readonly Turn[]>;
  /** Notes what was said to a question that was asked here; nothing of one that was forgotten since. */
  readonly answered: (answer: AnswerGiven["data"]) => Promise<void>;
  readonly forget: (conversation: string) => Promise<void>;
}

/** As it is kept: an answer is missing until it comes. */
interface Noted {
  readonly id: string;
  readonly question: string;
  readonly answer?: string;
}

const dayMs = 24 * 3_600_000;

/** Conversations in state, each bounded by turns, characters and time. */
export function conversations(
  state: StateStore,
  {
    maxTurns,
    maxCharacters,
    days,
  }: { readonly maxTurns: number; readonly maxCharacters: number; readonly days: number },
): Conversations {
  /** Questions and answers come on different ways: whoever is second looks again. */
  async function change(
    conversation: string,
    next: (turns: readonly Noted[]) => readonly Noted[],
  ): Promise<readonly Noted[]> {
    const key = keyOf(conversation);
    for (;;) {
      const [entry] = await state.get([key]);
      const before = (entry?.value ?? []) as unknown as readonly Noted[]; // written below only
      const after = next(before);
      if (after === before) return before;
      const value = bounded(after) as unknown as Json;
      const expect = entry?.revision ?? 0;
      if (await state.all([{ key, value, expect, ttlMs: days * dayMs }])) return after;
    }
  }

  function bounded(turns: readonly Noted[]): readonly Noted[] {
    let left = maxCharacters;
    const kept: Noted[] = [];
    for (const turn of turns.slice(-maxTurns).toReversed()) {
      // The newest is kept in any case, shortened.
      if (kept.length > 0 && lengthOf(turn) > left) break;
      const whole = lengthOf(turn) <= left ? turn : shortened(turn, left);
      left -= lengthOf(whole);
      kept.unshift(whole);
    }
    return kept;
  }

  return {
    async asked({ conversation, question: id, text: question }) {
      const turns = await change(conversation, (before) =>
        before.some((turn) => turn.id === id) ? before : [...before, { id, question }],
      );
      const own = turns.findIndex((turn) => turn.id === id);
      return turns
        .slice(0, own)
        .flatMap(({ question, answer }) => (answer === undefined ? [] : [{ question, answer }]));
    },
    async answered({ conversation, question: id, text: answer }) {
      if (conversation === undefined) return;
      await change(conversation, (before) =>
        before.some((turn) => turn.id === id && turn.answer !== answer)
          ? before.map((turn) => (turn.id === id ? { ...turn, answer } : turn))
          : before,
      );
    },
    async forget(conversation) {
      await state.each([{ key: keyOf(conversation), value: undefined }]);
    },
  };
}

function lengthOf({ question, answer = "" }: Noted): number {
  return question.length + answer.length;
}

function shortened({ id, question, answer }: Noted, length: number): Noted {
  const asked = cut(question, answer === undefined ? length : length >> 1);
  if (answer === undefined) return { id, question: asked };
  return { id, question: asked, answer: cut(answer, length - asked.length) };
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1).toWellFormed()}…`;
}

/** Whatever name a conversation has: keys are short, and say nothing. */
function keyOf(conversation: string): string {
  return `c/${hash("sha256", conversation, "hex").slice(0, 32)}`;
}
