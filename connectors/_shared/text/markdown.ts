import { blocksOf, type Block, type FromMarkdown } from "./blocks.ts";
import type { Breathe } from "./breathe.ts";
import { plainText } from "./plain-text.ts";
import { lineStart, nextLine } from "./shown.ts";
import { linesOf, paragraph } from "./prose.ts";
import type { Section } from "./section.ts";
import { unitsAt, type Unit } from "./unit.ts";

/** Longer headings also stay in the text: their path may have to be shortened. */
const maxHeadingLength = 200;

/**
 * The sections of a Markdown text, in order. With `asPath`, headings leave the units for the path,
 * except one with nothing below it, which would be lost.
 */
export async function* sectionsOf(
  text: string,
  {
    fromMarkdown,
    asPath,
    breathe,
  }: {
    readonly fromMarkdown: FromMarkdown;
    readonly asPath: boolean;
    readonly breathe: Breathe;
  },
): AsyncGenerator<Section> {
  let open: { readonly depth: number; readonly title: string }[] = [];
  let units: Unit[] = [];
  let heading: { readonly depth: number; readonly unit: Unit } | undefined;

  function close(nextDepth: number): readonly Section[] {
    const path = asPath ? open.map(({ title }) => title).filter((title) => title !== "") : [];
    const lone = heading && nextDepth <= heading.depth ? [heading.unit] : [];
    const below = units.length > 0 ? units : lone;
    return below.length > 0
      ? [{ path: below === units ? path : path.slice(0, -1), units: () => below }]
      : [];
  }

  for await (const block of blocksOf(text, { fromMarkdown, breathe })) {
    const { type, depth, start, end } = block;
    if (type !== "heading") {
      units.push({ start, end, cut: cutOf(text, block, start, end) });
      continue;
    }
    yield* close(depth);
    const source = text.slice(start, Math.min(end, start + 1_000));
    const title = plainText(fromMarkdown(source));
    open = [...open.filter((above) => above.depth < depth), { depth, title }];
    const unit = paragraph(text, start, end);
    heading = { depth, unit };
    units = !asPath || title === "" || end - start > maxHeadingLength ? [unit] : [];
  }
  yield* close(0);
}

function cutOf(text: string, { type, children }: Block, start: number, end: number): Unit["cut"] {
  switch (type) {
    case "list":
    case "listItem":
    case "blockquote": {
      if (children.length === 0) return () => linesOf(text, start, end);
      return () =>
        unitsAt(linesAt(text, children), { start, end }, (from, to, index) => {
          const child = children[index];
          return child ? cutOf(text, child, from, to) : () => [];
        });
    }
    case "code":
    case "html":
      return () => linesOf(text, start, end);
    default:
      return isTable(text, start, end)
        ? () => linesOf(text, start, end)
        : paragraph(text, start, end).cut;
  }
}

function* linesAt(text: string, blocks: readonly Block[]): Generator<number> {
  for (const { start } of blocks) yield lineStart(text, start);
}

/** Tables are an extension the parser does not know: a paragraph whose second line is a row of dashes. */
function isTable(text: string, start: number, end: number): boolean {
  const line = nextLine(text, start);
  if (line >= end) return false;
  const row = text.slice(line, Math.min(nextLine(text, line), end));
  return row.includes("|") && row.includes("-") && /^[\s|:-]*$/.test(row);
}
