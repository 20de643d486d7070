import { blocksOf, type FromMarkdown } from "../../_shared/text/blocks.ts";
import type { Breathe } from "../../_shared/text/breathe.ts";
import { plainText } from "../../_shared/text/plain-text.ts";

/** The first heading of a Markdown text. Looked for in the beginning only: a title does not stand in the middle. */
export async function headingOf(
  text: string,
  run: { readonly fromMarkdown: FromMarkdown; readonly breathe: Breathe },
): Promise<string | undefined> {
  const beginning = text.slice(0, 8_192);
  for await (const { type, start, end } of blocksOf(beginning, run)) {
    if (type !== "heading") continue;
    // The parser takes quadratic time for marks inside of lines.
    const source = beginning.slice(start, Math.min(end, start + 1_000));
    const markdown = [source, ...definitionsFor(source, beginning)].join("\n\n");
    const heading = run.fromMarkdown(markdown).children.find((node) => node.type === "heading");
    if (heading) return plainText(heading);
  }
  return undefined;
}

/** The lines that say where the links of a heading lead: without them `[text][label]` is no link. */
function definitionsFor(heading: string, text: string): readonly string[] {
  const labels = heading.toLowerCase();
  return Array.from(text.matchAll(/^ {0,3}\[([^\][\n]{1,100})\]:[ \t]*\S.{0,500}$/gm))
    .filter(([, label = ""]) => labels.includes(`[${label.toLowerCase()}]`))
    .slice(0, 10)
    .map(([line]) => line);
}
