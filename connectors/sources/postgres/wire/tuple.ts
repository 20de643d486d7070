/**
 * One row: PostgreSQL's texts by column position, the same from the stream and from a query.
 * `null` is SQL NULL; `undefined` is a value that the server did not send (unchanged TOAST).
 */
export type Tuple = readonly (string | null | undefined)[];
