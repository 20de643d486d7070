import { PoisonError, z, type JsonObject, type QuestionAsked, type RecordUpserted } from "sluice";

const maxLength = 32_000;

const asked = z.object({
  text: z.string(),
  conversation: z.string().min(1).max(500).optional(),
  topK: z.number().int().min(1).max(100).optional(),
  filter: z.record(z.string(), z.json()).optional(),
  minLsn: z
    .union([z.string().regex(/^\d{1,20}$/), z.number().int().min(0)])
    .transform(String)
    .optional(),
});

/** What a record asks; `undefined` for a blank text. Throws `PoisonError` for what is no question. */
export function askedIn(event: RecordUpserted): QuestionAsked["data"] | undefined {
  const parsed = asked.safeParse(contentOf(event));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const place = issue?.path.join(".") ?? "";
    throw invalid(event, `${place === "" ? "it" : place}: ${issue?.message ?? "wrong"}`);
  }
  const { text, conversation, topK, filter, minLsn } = parsed.data;
  if (text.trim() === "") return undefined;
  if (text.length > maxLength) throw invalid(event, `it has ${text.length} characters`);
  return {
    text: text.trim(),
    ...(conversation !== undefined && { conversation }),
    ...(topK !== undefined && { topK }),
    ...(filter && { filter }),
    ...(minLsn !== undefined && { minLsn }),
  };
}

/** What a file or object holds; of a row, its columns. */
function contentOf(event: RecordUpserted): unknown {
  const { after } = event.data;
  const { uri, text, mediaType } = after;
  if (uri === undefined) return withoutNulls(after);
  if (typeof text !== "string") throw invalid(event, "it holds no text");
  const isJson = typeof mediaType === "string" && /[/+]json$/.test(mediaType);
  if (!isJson && !text.trimStart().startsWith("{")) return { text };
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    if (isJson) throw invalid(event, "it is no JSON", cause);
    return { text };
  }
}

function withoutNulls(row: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null));
}

function invalid(event: RecordUpserted, why: string, cause?: unknown): PoisonError {
  return new PoisonError(`question: ${event.source} ${event.subject} asks nothing: ${why}.`, {
    code: "question.invalid",
    fix: 'Write a text, or JSON: { "text": "…", "conversation"?, "topK"?, "filter"?, "minLsn"? }.',
    cause,
  });
}
