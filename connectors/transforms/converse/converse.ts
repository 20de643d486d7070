import {
  defineTransform,
  PartialError,
  PoisonError,
  z,
  type AnswerGiven,
  type Applicable,
  type ConversationForgotten,
  type Output,
  type QuestionAsked,
} from "sluice";
import { chatOptions, openChat } from "../../_shared/chat/chat.ts";
import { askedBy, isQuestion } from "../../_shared/questions/asked-by.ts";
import { unexpected } from "../../_shared/text/apply-each.ts";
import { queryOf, type Rewrite } from "./follow-up.ts";
import { conversations, type Conversations } from "./memory.ts";
import { modelRewrite } from "./rewrite.ts";

const config = z.strictObject({
  maxTurns: z
    .number()
    .int()
    .min(1)
    .max(100)
    .default(6)
    .describe("Most questions and answers remembered of a conversation; the oldest go first."),
  maxCharacters: z
    .number()
    .int()
    .min(200)
    .max(200_000)
    .default(8_000)
    .describe("Most characters remembered of a conversation, all told."),
  days: z
    .number()
    .min(0.01)
    .max(3_650)
    .default(30)
    .describe("Days after its last word that a conversation is forgotten."),
  rewrite: z
    .strictObject(chatOptions)
    .optional()
    .describe(
      "An OpenAI-compatible model that rewrites a follow-up question so that it can be understood alone. Default: it is looked for together with the question before.",
    ),
});

/** Remembers conversations: a question gets what was said before, and what to look for if it cannot be understood alone. */
export const converse = defineTransform({
  name: "converse",
  version: "1.0.0",
  summary: "Remembers conversations, so that a follow-up question is understood.",
  config,
  accepts: ["dev.sluice.question.", "dev.sluice.answer.", "dev.sluice.conversation."],
  emits: ["dev.sluice.question."],
  absorbs: [
    "dev.sluice.answer.",
    "dev.sluice.conversation.",
    "dev.sluice.record.deleted",
    "dev.sluice.collection.",
  ],
  async open({ config, state, meter }) {
    const memory = conversations(state, config);
    const rewrite = config.rewrite && modelRewrite(openChat(config.rewrite, { meter }));

    return {
      async apply(events, run) {
        const outputs: Output[] = [];
        const failures = new Map<number, PoisonError>();
        // One after the other: two questions of a conversation may come at once.
        for (const [at, event] of events.entries()) {
          run.signal.throwIfAborted();
          try {
            outputs.push(await outputOf(event, { memory, rewrite }, run));
          } catch (error) {
            if (!(error instanceof PoisonError) || events.length === 1) throw error;
            failures.set(at, error);
          }
        }
        if (failures.size === 0) return outputs;
        throw new PartialError(`converse: ${failures.size} of ${events.length} events failed.`, {
          code: "transform.partial",
          failures,
        });
      },
    };
  },
});

async function outputOf(
  event: Applicable,
  { memory, rewrite }: { readonly memory: Conversations; readonly rewrite: Rewrite | undefined },
  run: { readonly signal: AbortSignal },
): Promise<Output> {
  if (isAnswer(event)) {
    await memory.answered(event.data);
    return null;
  }
  if (isForgetting(event)) {
    await memory.forget(event.data.conversation);
    return null;
  }
  if (!isQuestion(event)) throw unexpected("converse", event);
  return await withHistory(event, { memory, rewrite }, run);
}

async function withHistory(
  event: QuestionAsked,
  { memory, rewrite }: { readonly memory: Conversations; readonly rewrite: Rewrite | undefined },
  run: { readonly signal: AbortSignal },
): Promise<QuestionAsked> {
  const { conversation, text, query, question = event.id } = event.data;
  if (conversation === undefined) return askedBy(event, {});
  const history = await memory.asked({ conversation, question, text });
  if (history.length === 0) return askedBy(event, {});
  const wanted = query ?? (await queryOf(text, history, { ...run, rewrite }));
  return askedBy(event, { history, ...(wanted !== undefined && { query: wanted }) });
}

function isAnswer(event: Applicable): event is AnswerGiven {
  if (event.type !== "dev.sluice.answer.given") return false;
  return hasTexts(event, ["question", "asked", "text"]);
}

function isForgetting(event: Applicable): event is ConversationForgotten {
  if (event.type !== "dev.sluice.conversation.forgotten") return false;
  return hasTexts(event, ["conversation"]);
}

/** Events of anybody come here: their data is looked at before it is believed. */
function hasTexts(event: Applicable, names: readonly string[]): boolean {
  const data = (event.data ?? {}) as { readonly [name: string]: unknown };
  const missing = names.find((name) => typeof data[name] !== "string");
  if (missing === undefined) return true;
  throw new PoisonError(`converse: ${event.type} ${JSON.stringify(event.id)} has no ${missing}.`, {
    code: "converse.invalid",
    fix: `Put a text into data.${missing}.`,
  });
}
