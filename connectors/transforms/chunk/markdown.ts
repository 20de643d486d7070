import { plainText } from "../../_shared/text/plain-text.ts";
import { linesOf, paragraph } from "./prose.ts";
import type { Section } from "./section.ts";
import { unitsAt, type Unit } from "./unit.ts";

export type FromMarkdown = (typeof import("mdast-util-from-markdown"))["fromMarkdown"];
type Node = ReturnType<FromMarkdown>["children"][number];

interface Block {
  readonly node: Node;
  readonly start: number;
  readonly end: number;
  /** Where the text begins that the node's own offsets count from. */
  readonly base: number;
}

// Only blocks matter here; without the marks inside of lines the parser takes half the time and a tenth of the memory.
const blocksOnly = {
  extensions: [
    {
      disable: {
        null: [
          "attention",
          "autolink",
          "characterEscape",
          "characterReference",
          "codeText",
          "definition",
          "hardBreakEscape",
          "htmlText",
          "labelEnd",
          "labelStartImage",
          "labelStartLink",
        ],
      },
    },
  ],
};

/** Longer headings also stay in the text: their path may have to be shortened. */
const maxHeadingLength = 200;

/**
 * The sections of a Markdown text, in order. With `asPath`, headings leave the units for the path,
 * except one with nothing below it, which would be lost.
 */
export function* sectionsOf(
  text: string,
  { fromMarkdown, asPath }: { readonly fromMarkdown: FromMarkdown; readonly asPath: boolean },
): Generator<Section> {
  let open: { readonly depth: number; readonly title: string }[] = [];
  let units: Unit[] = [];
  let heading: { readonly depth: number; readonly unit: Unit } | undefined;

  function close(nextDepth: number): readonly Section[] {
    const path = asPath ? open.map(({ title }) => title).filter((title) => title !== "") : [];
    if (units.length > 0) return [{ path, units }];
    if (heading && nextDepth <= heading.depth)
      return [{ path: path.slice(0, -1), units: [heading.unit] }];
    return [];
  }

  for (const block of blocksOf(text, fromMarkdown)) {
    const { node, start, end } = block;
    if (node.type !== "heading") {
      units.push(unitOf(text, block));
      continue;
    }
    yield* close(node.depth);
    const source = text.slice(start, Math.min(end, start + 1_000));
    const title = plainText(fromMarkdown(source));
    open = [...open.filter(({ depth }) => depth < node.depth), { depth: node.depth, title }];
    const unit = paragraph(text, start, end);
    heading = { depth: node.depth, unit };
    units = !asPath || title === "" || end - start > maxHeadingLength ? [unit] : [];
  }
  yield* close(0);
}

/**
 * The top-level blocks, found window by window, so that a long text costs little memory. The last
 * block of a window may go on behind it: the next window begins with that block.
 */
function* blocksOf(text: string, fromMarkdown: FromMarkdown): Generator<Block> {
  const window = 65_536;
  for (let from = 0, size = window; from < text.length;) {
    const lineEnd = text.indexOf("\n", from + size);
    const to = lineEnd < 0 ? text.length : lineEnd + 1;
    // The parser skips a byte order mark, and with it our offsets.
    const part = text.slice(from, to).replace(/^\uFEFF/, " ");
    const blocks = fromMarkdown(part, blocksOnly).children.map((node) => ({
      node,
      start: from + (node.position?.start.offset ?? 0),
      end: from + (node.position?.end.offset ?? 0),
      base: from,
    }));
    const last = to < text.length ? blocks.pop() : undefined;
    yield* blocks;
    if (to === text.length) return;
    // Only one block so far: it needs a larger window. None: blank lines, or definitions.
    const next = last === undefined ? to : lineStart(text, last.start);
    size = next === from ? size * 4 : window;
    from = next;
  }
}

function unitOf(text: string, { node, start, end, base }: Block): Unit {
  return { start, end, cut: cutOf(text, node, start, end, base) };
}

function cutOf(text: string, node: Node, start: number, end: number, base: number): Unit["cut"] {
  switch (node.type) {
    case "list":
    case "listItem":
    case "blockquote": {
      const children: readonly Node[] = node.children;
      const starts = children.map((child) =>
        lineStart(text, base + (child.position?.start.offset ?? 0)),
      );
      return () =>
        unitsAt(starts, { start, end }, (from, to, index) => {
          const child = children[index];
          return child ? cutOf(text, child, from, to, base) : () => [];
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

/** Tables are an extension the parser does not know: a paragraph whose second line is a row of dashes. */
function isTable(text: string, start: number, end: number): boolean {
  const line = text.indexOf("\n", start) + 1;
  if (line === 0 || line >= end) return false;
  const next = text.indexOf("\n", line);
  const row = text.slice(line, next < 0 ? end : Math.min(next, end));
  return row.includes("|") && /^[\s|:-]*-[\s|:-]*$/.test(row);
}

function lineStart(text: string, at: number): number {
  return at === 0 ? 0 : text.lastIndexOf("\n", at - 1) + 1;
}
