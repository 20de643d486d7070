import { open } from "node:fs/promises";
import { ConfigError, RetryableError } from "sluice";
import type { Lines } from "./log.ts";

const newline = "\n".charCodeAt(0);

/** Appends to a file, synced to disk before `append` resolves. Calls take turns. */
export async function toFile(path: string): Promise<Lines> {
  const file = await open(path, "a+").catch((cause: unknown) => {
    throw new ConfigError(`log: "${path}" cannot be opened for appending.`, {
      code: "log.path",
      fix: "Create its folder, give this user the right to write there, or change `path`.",
      cause,
    });
  });
  let torn = await endsTorn(file);
  let turn = Promise.resolve();

  const append = async (lines: string, signal: AbortSignal) => {
    signal.throwIfAborted();
    try {
      // A line that a crash or a full disk cut short must not swallow the next one.
      await file.appendFile(torn ? `\n${lines}` : lines);
      await file.datasync();
      torn = false;
    } catch (cause) {
      torn = true;
      throw new RetryableError(`log: "${path}" cannot be written.`, {
        code: "log.write",
        reason: "unreachable",
        fix: "Free space on its disk, or see the cause.",
        cause,
      });
    }
  };

  return {
    append: (lines, { signal }) => {
      const mine = turn.then(() => append(lines, signal));
      turn = mine.catch(() => {}); // It was the other caller's; the next turn is not concerned.
      return mine;
    },
    close: async () => {
      await turn;
      await file.close();
    },
  };
}

async function endsTorn(file: Awaited<ReturnType<typeof open>>): Promise<boolean> {
  const stats = await file.stat();
  if (!stats.isFile() || stats.size === 0) return false;
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, stats.size - 1);
  return buffer[0] !== newline;
}
