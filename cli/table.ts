/** Columns padded to their widest cell; cells are plain text, `paint` colours after padding. */
export function table(
  rows: readonly (readonly string[])[],
  options: {
    readonly gap?: string;
    readonly paint?: (cell: string, row: number, column: number) => string;
  } = {},
): string {
  const { gap = "  ", paint = (cell) => cell } = options;
  const widths: number[] = [];
  for (const row of rows)
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length);
  return rows
    .map((row, line) =>
      row
        .map((cell, at) => paint(cell.padEnd(widths[at] ?? 0), line, at))
        .join(gap)
        .trimEnd(),
    )
    .join("\n");
}
