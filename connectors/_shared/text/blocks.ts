import type { Breathe } from "./breathe.ts";
import { lineStart, maxDepth, nextLine, show } from "./shown.ts";

export type FromMarkdown = (typeof import("mdast-util-from-markdown"))["fromMarkdown"];
type Node = ReturnType<FromMarkdown>["children"][number];

/** A block of a Markdown text, and what it holds if it is a list, an item of one, or a quote. */
export interface Block {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  /** Of a heading, else 0. */
  readonly depth: number;
  readonly children: readonly Block[];
}

interface OpenBlock extends Block {
  end: number;
  children: OpenBlock[];
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

interface Run {
  readonly fromMarkdown: FromMarkdown;
  readonly breathe: Breathe;
}

/**
 * The top-level blocks, in order. The parser sees a short stretch at a time, as a long text would
 * take it too long. The last block of a stretch may go on behind it, so the next stretch begins
 * with that block; or, where the stretch holds nothing else, with the block's last child, shown
 * after the lines that open what it stands in.
 */
export async function* blocksOf(
  text: string,
  { fromMarkdown, breathe }: Run,
): AsyncGenerator<Block> {
  let path: OpenBlock[] = [];
  for (let from = 0; from < text.length;) {
    await breathe();
    const { text: shown, lastLine, to, offsetOf } = show(text, from, openersOf(text, path));
    const found = fromMarkdown(shown, blocksOnly).children.map((node) => toBlock(node, offsetOf));
    continuePath(path, found, from);
    const blocks = [...path.slice(0, 1), ...found.filter(({ start }) => start >= from)];
    const last = to < text.length ? blocks.pop() : undefined;
    yield* blocks;
    path = [];
    if (last === undefined) from = to;
    else if (lineStart(text, last.start) > from) from = lineStart(text, last.start);
    else {
      path = [last];
      from = descend(text, path, from) ?? lastLine;
      if (path.length === 0) yield last;
    }
  }
}

/**
 * Extends the path from its one block to what may go on behind the stretch that began at `from`, and
 * gives back where to go on: at a child, which is taken off to be found again, or at the last line
 * of the innermost block, which may end it. `undefined`: nothing but blank lines is left.
 */
function descend(text: string, path: OpenBlock[], from: number): number | undefined {
  for (let block = path.at(-1); block !== undefined; block = path.at(-1)) {
    const child = block.children.at(-1);
    const next = lineStart(text, child?.start ?? block.end - 1);
    if (next > from) {
      block.children.pop();
      return next;
    }
    if (child === undefined) {
      path.pop();
      return undefined;
    }
    path.push(child);
  }
  return undefined;
}

/** The lines that, read before the rest of the innermost block, make the parser take it for that. */
function openersOf(text: string, path: readonly OpenBlock[]): readonly string[] {
  const lines = new Map<number, string>();
  const last = path.at(-1);
  const item = last?.type === "list" ? last.children.at(-1) : undefined;
  for (const block of item ? [...path, item] : path) {
    // A list begins where its items do.
    if (block.type === "list" && block.children.length > 0) continue;
    const start = lineStart(text, block.start);
    const end = nextLine(text, block.start);
    const content = block.children[0]?.start ?? end;
    // An empty heading: nothing that follows can belong to it.
    lines.set(start, content < end ? `${text.slice(start, content)}#\n` : text.slice(start, end));
  }
  return [...lines.values()];
}

/** Adds what was found after the openers of a path to its blocks. */
function continuePath(path: readonly OpenBlock[], found: readonly OpenBlock[], from: number): void {
  let siblings = found;
  for (const block of path) {
    const again = siblings.findLast(({ start }) => start < from);
    if (again === undefined) return;
    block.end = Math.max(block.end, again.end);
    // A paragraph becomes a heading with the line below it.
    if (!isContainer(block.type)) Object.assign(block, { type: again.type, depth: again.depth });
    block.children.push(...again.children.filter(({ start }) => start >= from));
    siblings = again.children;
  }
}

function toBlock(node: Node, offsetOf: (at: number) => number, level = 1): OpenBlock {
  const isOpen = level < maxDepth && "children" in node && isContainer(node.type);
  const children: readonly Node[] = isOpen ? node.children : [];
  return {
    type: node.type,
    start: offsetOf(node.position?.start.offset ?? 0),
    end: offsetOf(node.position?.end.offset ?? 0),
    depth: node.type === "heading" ? node.depth : 0,
    children: children.map((child) => toBlock(child, offsetOf, level + 1)),
  };
}

function isContainer(type: string): boolean {
  return type === "list" || type === "listItem" || type === "blockquote";
}
