import type { IncomingMessage } from "node:http";
import { invalid } from "./refusal.ts";

const maxUpsertBytes = 2_000_000;
const maxMessageBytes = 4_194_304;

export interface Body {
  readonly bytes: number;
  readonly text: string;
}

/** Reads the whole body, keeping no more of it than the largest that could be accepted. */
export async function readBody(request: IncomingMessage): Promise<Body> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes <= maxMessageBytes) parts.push(part);
  }
  return { bytes, text: bytes <= maxMessageBytes ? Buffer.concat(parts).toString() : "" };
}

/** Refuses what is too large, then parses, but for bodies of `lines`. */
export function parseBody({ bytes, text }: Body, path: string, lines = false): unknown {
  if (bytes > maxMessageBytes) {
    throw invalid(
      `message length too large: found ${bytes} bytes, the limit is: ${maxMessageBytes} bytes`,
    );
  }
  if (bytes > maxUpsertBytes && path.endsWith("/upsert")) {
    const size = Math.ceil(bytes / 1_000_000);
    throw invalid(`Request size ${size}MB exceeds the maximum supported size of 2MB`);
  }
  if (text === "" || lines) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalid(`the body is not JSON: ${(error as SyntaxError).message}`);
  }
}
