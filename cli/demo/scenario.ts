import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Reader } from "../../core/connector.ts";
import type { Match } from "../../core/vectors.ts";

const question = "What is the code of the door in Lisbon?";
/** The one file that the scenario writes and deletes. */
export const documentName = "lisbon-office.md";
/** Cosine similarity below which a passage does not answer the question. */
const fits = 0.5;
const pollMs = 25;

/** One thing the scenario waited for. */
export interface Step {
  readonly name: string;
  readonly ok: boolean;
  /** From the file write (or the question) to the observation; how long it waited when it failed. */
  readonly ms: number;
  /** What was seen, in a line. */
  readonly seen: string;
}

/**
 * Plays the life of one document against a running pipeline: unknown, written, edited (a few times in
 * a row), deleted. Every step waits until searching shows it, for at most `withinMs`.
 */
export async function* playScenario(
  notes: string,
  reader: Reader,
  run: { readonly withinMs: number; readonly signal: AbortSignal },
): AsyncGenerator<Step, void> {
  const file = join(notes, documentName);
  const search = async () =>
    (await reader.search({ text: question, topK: 3 }, { signal: run.signal })).matches;
  const fromFile = (matches: readonly Match[]) =>
    matches.filter(({ metadata }) => String(metadata["uri"]).endsWith(documentName));
  /** The best passage is the file's and has the code, and no passage has an earlier one. */
  const says = (code: string) => (matches: readonly Match[]) => {
    const [top] = matches;
    const isCurrent = (match: Match) => textOf(match).includes(`the code ${code}`);
    const isOld = (match: Match) => textOf(match).includes("the code ") && !isCurrent(match);
    return (
      fromFile(matches.slice(0, 1)).length === 1 &&
      top !== undefined &&
      isCurrent(top) &&
      !matches.some(isOld)
    );
  };

  async function until(
    name: string,
    act: () => Promise<void>,
    isSeen: (matches: readonly Match[]) => boolean,
  ): Promise<Step> {
    const began = performance.now();
    await act();
    for (;;) {
      const matches = await search();
      const ms = performance.now() - began;
      const ok = isSeen(matches);
      if (ok || ms > run.withinMs) return { name, ok, ms, seen: describe(matches) };
      await sleep(pollMs, undefined, { signal: run.signal });
    }
  }

  yield await until(
    "asked, and nothing fits",
    async () => {},
    (matches) => matches.every(({ score }) => score < fits),
  );
  yield await until("written, and found", () => writeFile(file, page("4711")), says("4711"));
  yield await until("edited, and it changes", () => writeFile(file, page("8251")), says("8251"));
  for (const code of ["1001", "1002", "1003", "1004", "1005"])
    yield await until(`edited again (${code})`, () => writeFile(file, page(code)), says(code));
  yield await until(
    "deleted, and gone",
    () => rm(file),
    (matches) => fromFile(matches).length === 0,
  );
}

function page(code: string): string {
  return `# The Lisbon office

## Getting in

The door in Lisbon opens with the code ${code}. After eight in the evening ring the bell at the gate.

## Parking

There are two places in the yard; ask at the reception.
`;
}

function describe(matches: readonly Match[]): string {
  const [top] = matches;
  if (!top) return "no passage at all";
  const where = String(top.metadata["uri"]).split("/").at(-1);
  const text = textOf(top).replaceAll(/\s+/g, " ").slice(0, 70);
  return `best ${top.score.toFixed(2)}${top.score < fits ? " (does not fit)" : ""} ${where}: “${text}…”`;
}

function textOf(match: Match): string {
  const { text } = match.metadata;
  return typeof text === "string" ? text : "";
}
