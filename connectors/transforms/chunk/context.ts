/** The heading path as it is embedded before a chunk's text; the innermost headings that fit `maxTokens`. */
export function contextOf(
  path: readonly string[],
  {
    maxTokens,
    countTokens,
  }: { readonly maxTokens: number; readonly countTokens: (text: string) => number },
): string | undefined {
  for (let from = 0; from < path.length; from++) {
    const context = path.slice(from).join(" › ");
    if (countTokens(context) <= maxTokens) return context;
  }
  return undefined;
}
