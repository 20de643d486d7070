import { z } from "sluice";
import { invalid } from "./refusal.ts";

/** What a listing is about; a token is refused for another one. */
export type Scope = Readonly<Record<string, string>>;

const token = z.object({ scope: z.record(z.string(), z.string()), after: z.string() });

/** An opaque token for the page that starts after `after`; writes and deletes meanwhile do not spoil it. */
export function pageToken(scope: Scope, after: string): string {
  return Buffer.from(JSON.stringify({ scope, after })).toString("base64url");
}

/** Where the page starts: after this text, `""` for the first. */
export function openPage(text: string | null | undefined, scope: Scope): string {
  if (!text) return "";
  const { scope: given, after } = decoded(text);
  for (const [name, value] of Object.entries(scope)) {
    if (given[name] !== value) {
      throw invalid(`the pagination token belongs to another ${name} ('${given[name] ?? ""}')`);
    }
  }
  return after;
}

function decoded(text: string) {
  try {
    return token.parse(JSON.parse(Buffer.from(text, "base64url").toString()));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) {
      throw invalid(
        "the pagination token is unknown; list again with the same prefix and namespace",
      );
    }
    throw error;
  }
}
