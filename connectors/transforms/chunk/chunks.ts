import { hash } from "node:crypto";
import type { Chunk, Segment } from "sluice";
import { embeddedText } from "../../_shared/embedders/embedded-text.ts";
import type { Breathe } from "../../_shared/text/breathe.ts";
import { leastTokens } from "../../_shared/text/room.ts";
import { contextOf } from "./context.ts";
import { pack } from "./pack.ts";
import type { Section } from "../../_shared/text/section.ts";

/** What limits a chunk, in tokens of the embedder. */
export interface Budget {
  /** Of a chunk's text alone. */
  readonly maxTokens: number;
  /** Of what is embedded: context, text and special tokens. */
  readonly hardLimit: number;
  readonly countTokens: (text: string) => number;
  /** Stretches of this text whose tokens are known, by where they start. */
  readonly counted: ReadonlyMap<number, Segment>;
}

/** A chunk before it is known how often its text came before. */
export type Piece = Pick<Chunk, "text" | "context" | "start" | "end">;

/** The pieces of one section, in order. Each fits the budget as it will be embedded. */
export async function piecesOf(
  text: string,
  section: Section,
  { budget, breathe }: { readonly budget: Budget; readonly breathe: Breathe },
): Promise<readonly Piece[]> {
  const { maxTokens, hardLimit, countTokens, counted } = budget;
  const special = countTokens("");
  const context = contextOf(section.path, { countTokens, maxTokens: Math.floor(hardLimit / 4) });
  const used = context === undefined ? special : countTokens(context);
  const tokensOf = (start: number, end: number) => {
    const known = counted.get(start);
    return known?.end === end ? known.tokens : countTokens(text.slice(start, end)) - special;
  };
  // Joined texts need not count as many tokens as their parts: so measure, and pack tighter where they do not fit.
  for (let room = Math.min(maxTokens, hardLimit - used); ;) {
    const weigh = (start: number, end: number) => {
      const least = leastTokens(end - start);
      // Only what may fit is worth counting: a long text would take long, at each level of its nesting.
      return least > room ? least : Math.max(tokensOf(start, end), least);
    };
    const pieces: Piece[] = [];
    let longest = 0;
    for (const span of await pack(text, section.units(), { room, weigh, breathe })) {
      await breathe();
      const piece = pieceOf(text, span, context);
      if (!/[\p{L}\p{N}]/u.test(piece.text) && countTokens(piece.text) <= special) continue;
      pieces.push(piece);
      longest = Math.max(longest, countTokens(embeddedText(piece)));
    }
    if (longest <= hardLimit || room === 1) return pieces;
    room = Math.max(1, room - (longest - hardLimit));
  }
}

/** Gives each piece its id: the hash of its words and how many equal ones came before. */
export async function identified(
  pieces: readonly Piece[],
  breathe: Breathe,
): Promise<readonly Chunk[]> {
  const seen = new Map<string, number>();
  const chunks: Chunk[] = [];
  for (const piece of pieces) {
    await breathe();
    const words = piece.text.normalize("NFC").replaceAll(/\s+/g, " ");
    const key = hash("sha256", words).slice(0, 16);
    const occurrence = seen.get(key) ?? 0;
    seen.set(key, occurrence + 1);
    chunks.push({ id: `${key}~${occurrence.toString(36)}`, ...piece });
  }
  return chunks;
}

function pieceOf(
  text: string,
  span: { readonly start: number; readonly end: number },
  context: string | undefined,
): Piece {
  const whole = text.slice(span.start, span.end);
  const start = span.start + (whole.length - whole.trimStart().length);
  const trimmed = whole.trim();
  return {
    text: trimmed,
    ...(context !== undefined && { context }),
    start,
    end: start + trimmed.length,
  };
}
