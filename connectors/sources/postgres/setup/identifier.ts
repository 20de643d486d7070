/** A name as SQL takes it, whatever is in it. */
export function quoted(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`;
}

/** `"schema"."table"`. */
export function qualified(table: { readonly schema: string; readonly name: string }): string {
  return `${quoted(table.schema)}.${quoted(table.name)}`;
}

/** A text as SQL takes it. Needs `standard_conforming_strings`, which our sessions set. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** A list of names as SQL takes it. */
export function quotedList(identifiers: readonly string[]): string {
  return identifiers.map(quoted).join(", ");
}

/**
 * What a query reads from to get the rows that the stream carries under this table: all partitions,
 * but no tables that inherit from it, for those are tables of their own.
 */
export function rowsOf(table: {
  readonly schema: string;
  readonly name: string;
  readonly kind: "table" | "partitioned";
}): string {
  return table.kind === "table" ? `ONLY ${qualified(table)}` : qualified(table);
}

/** A table's name for people: quoted only where it must be. */
export function shown(table: { readonly schema: string; readonly name: string }): string {
  const isPlain = /^[a-z_][a-z0-9_$]*$/;
  return isPlain.test(table.schema) && isPlain.test(table.name)
    ? `${table.schema}.${table.name}`
    : qualified(table);
}
