import { ConfigError } from "sluice";
import type { Lines } from "./log.ts";

/** Writes to standard output, waiting until the reader has taken it: a slow pipe slows the sink. */
export function toStdout(stream: NodeJS.WritableStream = process.stdout): Lines {
  // Without a listener the end of the reader (`| head`) would end this process.
  const ignore = () => {}; // `append` reports it.
  stream.on("error", ignore);
  return {
    append: (lines, { signal }) =>
      new Promise((resolve, reject) => {
        signal.throwIfAborted();
        const stop = () => reject(signal.reason as Error);
        signal.addEventListener("abort", stop, { once: true });
        stream.write(lines, (error) => {
          signal.removeEventListener("abort", stop);
          if (error) reject(closed(error));
          else resolve();
        });
      }),
    close: async () => void stream.off("error", ignore),
  };
}

function closed(cause: Error): ConfigError {
  return new ConfigError("log: standard output is closed, its reader has gone.", {
    code: "log.stdout-closed",
    fix: "Start again with a reader that stays, or set `path`.",
    cause,
  });
}
