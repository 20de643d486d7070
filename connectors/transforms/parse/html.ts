import type { Breathe } from "../../_shared/text/breathe.ts";
import { damaged } from "./refusals.ts";

export type HtmlParser = (typeof import("htmlparser2"))["Parser"];

/** What is not said to a reader. */
const silent = new Set(
  "script style noscript template svg math iframe object canvas nav head select textarea".split(
    " ",
  ),
);
/** They begin on a line of their own, and end there. */
const blocks = new Set(
  "address article aside blockquote body center dd details div dl dt fieldset figcaption figure footer form header hr html legend li main ol p pre section summary table tbody tfoot thead tr ul h1 h2 h3 h4 h5 h6".split(
    " ",
  ),
);
/** Deeper than any page that is meant to be read. */
const maxDepth = 10_000;
const pieceLength = 65_536;

/**
 * A page as Markdown: headings, paragraphs, lists, quotes, code and tables; of links and pictures their
 * words. One walk over the tags, whatever the nesting; what is hidden, or moves about the site, is left out.
 */
export async function markdownOf(
  html: string,
  address: string,
  { Parser, breathe }: { readonly Parser: HtmlParser; readonly breathe: Breathe },
): Promise<{ readonly text: string; readonly title: string | undefined }> {
  const page = writer();
  let title = "";
  let depth = 0;
  let isTitle = false;
  /** Inside of what is silent: how deep. */
  let silence = 0;
  const parser = new Parser({
    onopentag: (name, attributes) => {
      depth += 1;
      if (depth > maxDepth) throw damaged(address, `its tags nest deeper than ${maxDepth}`);
      if (name === "title" && title === "") isTitle = true;
      const isHidden = silent.has(name) || "hidden" in attributes;
      if (silence > 0 || (isHidden && name !== "br")) silence += 1;
      else page.open(name, attributes);
    },
    onclosetag: (name) => {
      depth -= 1;
      isTitle = false;
      if (silence > 0) silence -= 1;
      else page.close(name);
    },
    ontext: (text) => {
      if (isTitle) title += text;
      else if (silence === 0) page.text(text);
    },
  });
  for (let from = 0; from < html.length; from += pieceLength) {
    await breathe();
    parser.write(html.slice(from, from + pieceLength));
  }
  parser.end();
  return { text: page.end(), title: title.replaceAll(/\s+/g, " ").trim() || page.heading() };
}

interface List {
  readonly isOrdered: boolean;
  count: number;
}

/** Puts lines together from tags and texts, in the order in which they come. */
function writer() {
  const done: string[] = [];
  let line = "";
  let marker = "";
  let heading: string | undefined;
  let level = 0;
  let quotes = 0;
  let verbatim = 0;
  const lists: List[] = [];
  /** Of the table that is open; a table inside another ends the row that it stands in. */
  let cells: string[] | undefined;
  let rows = 0;

  const indent = () => "  ".repeat(Math.max(0, lists.length - 1)) + (lists.length > 0 ? "  " : "");
  const put = (text: string, isTight = false) => {
    const quote = "> ".repeat(Math.min(quotes, 8));
    const shown = quote === "" ? text : text.replaceAll(/^/gm, quote);
    done.push((isTight ? "\n" : "\n\n") + shown);
  };
  const flush = () => {
    const text = verbatim > 0 ? line : line.replaceAll(/[ \t\n\r\f]+/g, " ").trim();
    line = "";
    if (text.trim() === "") return;
    if (cells) {
      const last = cells.length - 1;
      if (last >= 0) cells[last] = `${cells[last] ?? ""} ${text}`.trim();
      else cells.push(text);
      return;
    }
    if (verbatim > 0) return put(fenced(text));
    if (level > 0) {
      heading ??= text;
      return put(`${"#".repeat(level)} ${text}`);
    }
    if (lists.length === 0) return put(escaped(text));
    // The text of an item stands behind its mark, what follows in it below.
    const mark = marker === "" ? indent() : indent().slice(0, -2) + marker;
    const isFirst = lists.length === 1 && lists[0]?.count === 1;
    put(mark + (marker === "" ? text : escaped(text)), marker !== "" && !isFirst);
    marker = "";
  };
  const endRow = () => {
    flush();
    const row = cells?.map((cell) => cell.replaceAll("|", "\\|")) ?? [];
    if (row.some((cell) => cell !== "")) {
      rows += 1;
      const text = `| ${row.join(" | ")} |`;
      cells = undefined;
      put(text, rows > 1);
      if (rows === 1 && row.length > 1) put(`|${" --- |".repeat(row.length)}`, true);
    }
    cells = undefined;
  };

  return {
    open: (name: string, attributes: Readonly<Record<string, string>>) => {
      if (blocks.has(name)) flush();
      if (/^h[1-6]$/.test(name)) level = Number(name[1]);
      else if (name === "ul" || name === "ol") lists.push({ isOrdered: name === "ol", count: 0 });
      else if (name === "li") {
        const list = lists.at(-1);
        if (list) list.count += 1;
        marker = list?.isOrdered ? `${list.count}. ` : "- ";
      } else if (name === "blockquote") quotes += 1;
      else if (name === "pre") verbatim += 1;
      else if (name === "br") line += verbatim > 0 ? "\n" : " ";
      else if (name === "table") {
        endRow();
        rows = 0;
      } else if (name === "tr") endRow();
      else if (name === "td" || name === "th") {
        flush();
        (cells ??= []).push("");
      } else if (name === "img") line += attributes["alt"] ? ` ${attributes["alt"]} ` : "";
    },
    close: (name: string) => {
      if (blocks.has(name) || name === "td" || name === "th") flush();
      if (/^h[1-6]$/.test(name)) level = 0;
      else if (name === "ul" || name === "ol") lists.pop();
      else if (name === "li") marker = "";
      else if (name === "blockquote") quotes = Math.max(0, quotes - 1);
      else if (name === "pre") verbatim = Math.max(0, verbatim - 1);
      else if (name === "tr" || name === "table") endRow();
    },
    text: (text: string) => {
      line += text;
    },
    heading: () => heading,
    end: () => {
      endRow();
      return done.join("").replace(/^\n+/, "");
    },
  };
}

/** What would be read as a mark of Markdown, and is none. */
function escaped(text: string): string {
  return /^(#{1,6}\s|>|[-+*]\s|\d{1,9}[.)]\s|`{3}|~{3}|={2,}$|-{2,}$|\[.*\]:)/.test(text)
    ? `\\${text}`
    : text;
}

function fenced(text: string): string {
  const longest = Math.max(2, ...Array.from(text.matchAll(/`+/g), ([ticks]) => ticks.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}\n${text.replace(/^\n|\n$/g, "")}\n${fence}`;
}
