import { createHash, randomUUID } from "node:crypto";
import { z, type MessageEvent } from "sluice";
import { invalid } from "./refusal.ts";
import { parseJson } from "./json.ts";

/** What somebody who asks may say; the rest of a question's data is added by stages. */
export const question = z.strictObject({
  text: z.string().regex(/\S/, "is empty"),
  conversation: z.string().min(1).max(200).optional(),
  topK: z.number().int().min(1).max(1_000).optional(),
  filter: z.record(z.string(), z.json()).optional(),
  namespace: z.string().optional(),
  minLsn: z
    .union([
      z.string().regex(/^\d{1,20}$/, "must be a decimal number"),
      z.number().int().min(0).transform(String),
    ])
    .optional(),
});

export const feedback = z.strictObject({
  answer: z.string().min(1).max(1_000),
  rating: z.union([z.literal(-1), z.literal(0), z.literal(1)]),
  comment: z.string().optional(),
});

export const forms = {
  "/questions": { type: "dev.sluice.question.asked", schema: question },
  "/feedback": { type: "dev.sluice.feedback.given", schema: feedback },
} as const;

/**
 * The event of a plain JSON body. With an `Idempotency-Key` its id follows from key and body: sent
 * again it is the same event, and two senders with one key do not get each other's answers.
 */
export function eventOf(
  path: keyof typeof forms,
  source: string,
  text: string,
  key: string | undefined,
): MessageEvent {
  const { type, schema } = forms[path];
  const data = refuseIssues(schema, parseJson(text), "the body");
  const id = key === undefined ? randomUUID() : digest(`${path}\n${key}\n${JSON.stringify(data)}`);
  return { specversion: "1.0", id, source, type, time: new Date().toISOString(), data };
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}

/** What the schema makes of it. Throws `Refusal` 400 with every issue. */
export function refuseIssues<S extends z.ZodType>(
  schema: S,
  value: unknown,
  what: string,
): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const all = result.error.issues.map(({ path, message }) =>
    path.length > 0 ? `${path.join(".")}: ${message}` : message,
  );
  throw invalid(`${what} is not as it should be: ${all.join("; ")}.`);
}
