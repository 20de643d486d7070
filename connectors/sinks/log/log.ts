import { defineSink, FencedError, z, type SluiceEvent } from "sluice";
import { toFile } from "./to-file.ts";
import { toStdout } from "./to-stdout.ts";

const config = z.strictObject({
  path: z
    .string()
    .min(1)
    .optional()
    .meta({ path: true })
    .describe("File to append to; created if absent. Default: standard output."),
});

/** Where lines go. `append` resolves when they are out of our hands: on disk, or taken by the pipe. */
export interface Lines {
  readonly append: (lines: string, run: { readonly signal: AbortSignal }) => Promise<void>;
  readonly close: () => Promise<void>;
}

/**
 * Writes every event as one line of JSON, in the order it comes: deletes and clears too. It only
 * appends, so a redelivered batch is there twice; who reads it keeps the highest `sequence` of a record.
 */
export const log = defineSink({
  name: "log",
  version: "1.0.0",
  summary: "One JSON line per event, to standard output or a file.",
  config,
  accepts: [""],
  open: async ({ config: { path } }) => {
    const lines = path === undefined ? toStdout() : await toFile(path);
    return {
      write: async (events, { signal, deadline }) => {
        if (performance.now() >= deadline)
          throw new FencedError("log: the lease ended before its lines were written.", {
            code: "log.lease-ended",
          });
        await lines.append(events.map(lineOf).join(""), { signal });
      },
      close: lines.close,
    };
  },
});

function lineOf(event: SluiceEvent): string {
  return `${JSON.stringify(event)}\n`;
}
