import type { Output } from "./output.ts";

const everyMs = 5_000;

export interface ProgressLine {
  /** Replaces the line on a terminal; elsewhere writes one when the text has changed, every 5 s at most. */
  readonly say: (text: string) => void;
  /** Takes it away. */
  readonly end: () => void;
}

/** One line on stderr that tells how far something is; nothing with `--json`. */
export function openProgressLine({ isJson, note, paint }: Output): ProgressLine {
  const isDrawn = process.stderr.isTTY && process.env["TERM"] !== "dumb" && !isJson;
  let said = "";
  let saidAt = -Infinity;
  const wipe = () => void (isDrawn && said !== "" && process.stderr.write("\r\u001b[K"));
  return {
    say: (text) => {
      const now = performance.now();
      if (text === said || (!isDrawn && now - saidAt < everyMs)) return;
      wipe();
      said = text;
      saidAt = now;
      if (isDrawn) process.stderr.write(paint("dim", text.slice(0, process.stderr.columns - 1)));
      else note(text);
    },
    end: wipe,
  };
}
