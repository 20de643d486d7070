import type { IncomingMessage } from "node:http";
import { crowded, invalid, Refusal, unavailable } from "./refusal.ts";

/** What all bodies in memory may hold together: they are there until their events are in the topic. */
export interface Budget {
  /** False: there is no room for so many bytes more. */
  readonly take: (bytes: number) => boolean;
  readonly give: (bytes: number) => void;
}

export function openBudget(maxBytes: number): Budget {
  let taken = 0;
  return {
    take: (bytes) => {
      if (taken + bytes > maxBytes) return false;
      taken += bytes;
      return true;
    },
    give: (bytes) => void (taken -= bytes),
  };
}

/**
 * Reads the body, counting as it comes. Every byte is on the budget, also that of one who
 * sends slowly; `release` gives them back. Throws `Refusal` 400, 413, 429, and 503 on abort.
 */
export async function readBody(
  request: IncomingMessage,
  how: { readonly maxBytes: number; readonly budget: Budget; readonly signal: AbortSignal },
): Promise<{ readonly body: Buffer; readonly release: () => void }> {
  const { maxBytes, budget, signal } = how;
  let stop = () => {};
  let held = 0;
  const release = () => {
    budget.give(held);
    held = 0;
  };
  const declared = Number(request.headers["content-length"] ?? 0);
  if (declared > maxBytes) throw tooLarge(maxBytes);
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    // Not `for await`: leaving that early destroys the request, and with it the way to answer.
    await new Promise<void>((resolve, reject) => {
      stop = () => reject(unavailable("the source is stopping."));
      if (signal.aborted) return stop();
      signal.addEventListener("abort", stop, { once: true });
      request.on("data", (part: Buffer) => {
        bytes += part.length;
        if (bytes > maxBytes) return reject(tooLarge(maxBytes));
        if (!budget.take(part.length)) return reject(crowded("too much is on its way already."));
        held += part.length;
        parts.push(part);
      });
      request.once("end", resolve);
      request.once("error", reject);
      request.once("close", () => reject(invalid("the body was cut short.")));
    });
    return { body: Buffer.concat(parts), release };
  } catch (error) {
    release();
    throw error;
  } finally {
    signal.removeEventListener("abort", stop);
    // What still comes is thrown away, for as long as a request may take: cut off, its sender would see no answer.
    request.removeAllListeners("data").resume();
  }
}

function tooLarge(maxBytes: number): Refusal {
  return new Refusal(413, `the body is larger than ${maxBytes} bytes.`, {
    fix: "Send less at once, or raise `maxBytes` of the http source.",
  });
}

/** Throws `Refusal` 400 for what is no UTF-8. */
export function textOf(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw invalid("the body is not UTF-8.");
  }
}
