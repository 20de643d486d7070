/** A node of a Markdown tree, as far as its words go. */
interface Node {
  readonly type: string;
  readonly value?: string;
  readonly alt?: string | null | undefined;
  readonly children?: readonly Node[];
}

/** The words of a Markdown node without its marks: what a reader sees, on one line. */
export function plainText(node: Node): string {
  return wordsOf(node).replaceAll(/\s+/g, " ").trim();
}

function wordsOf(node: Node): string {
  if (node.type === "html") return "";
  if (node.type === "break") return " ";
  return node.value ?? node.alt ?? (node.children ?? []).map(wordsOf).join("");
}
