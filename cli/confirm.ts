import { createInterface } from "node:readline/promises";
import { SluiceError } from "../core/errors.ts";
import type { Output } from "./output.ts";

/** Returns once a person has said yes, or `--yes` did; else throws `cli.unconfirmed`. */
export async function confirm(
  question: string,
  { yes = false }: { readonly yes?: boolean },
  output: Output,
): Promise<void> {
  if (yes) return;
  if (output.isJson || !process.stdin.isTTY || !process.stderr.isTTY)
    throw unconfirmed("nobody is here to confirm it", "Add --yes.");
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  // Ctrl-C and Ctrl-D close it and leave the question open.
  const closed = new Promise<string>((resolve) => reader.once("close", () => resolve("no")));
  try {
    const asked = reader.question(`${question}\nType yes to go on: `);
    const answer = await Promise.race([asked, closed]);
    if (answer.trim().toLowerCase() !== "yes") throw unconfirmed("it was not confirmed");
  } finally {
    reader.close();
  }
}

function unconfirmed(why: string, fix?: string): SluiceError {
  return new SluiceError(`sluice: nothing was changed: ${why}.`, {
    code: "cli.unconfirmed",
    ...(fix !== undefined && { fix }),
  });
}
