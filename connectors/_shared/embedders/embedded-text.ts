import type { Chunk } from "sluice";

/** The text that is embedded for a chunk, and that must fit the model: its heading path, then its text. */
export function embeddedText(chunk: Pick<Chunk, "context" | "text">): string {
  return chunk.context ? `${chunk.context}\n\n${chunk.text}` : chunk.text;
}
