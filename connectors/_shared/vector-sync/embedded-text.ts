import type { Chunk } from "sluice";

/** What is embedded for a chunk: its heading path, when it has one, before its text. */
export function embeddedText(chunk: Pick<Chunk, "context" | "text">): string {
  return chunk.context ? `${chunk.context}\n\n${chunk.text}` : chunk.text;
}
