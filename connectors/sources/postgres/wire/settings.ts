/**
 * What every connection of ours is told in its start-up packet. All that changes how a value is
 * written is fixed, so that stream and query give equal texts whatever the server, the database or
 * the role say; time-outs are ours alone.
 */
const fixed: Readonly<Record<string, string>> = {
  client_encoding: "UTF8",
  TimeZone: "UTC",
  DateStyle: "ISO,YMD",
  IntervalStyle: "iso_8601",
  extra_float_digits: "1",
  bytea_output: "hex",
  lc_monetary: "C",
  search_path: "pg_catalog",
  quote_all_identifiers: "off",
  // Else a query that waited for a table's lock reads it as it was before, and a rewritten one is empty then.
  default_transaction_isolation: "read committed",
  // Else a backslash in a literal that we quote would escape.
  standard_conforming_strings: "on",
  lock_timeout: "0",
  idle_in_transaction_session_timeout: "0",
  idle_session_timeout: "0",
  // A policy that would hide rows from the snapshot, though not from the stream, is an error instead.
  row_security: "off",
};

/** The `options` of the start-up packet: what the URL says first, so that ours win. */
export function startupOptions(
  given: string | undefined,
  settings: Readonly<Record<string, string>>,
): string {
  const ours = Object.entries({ ...fixed, ...settings }).map(
    ([name, value]) => `-c ${name}=${value.replaceAll(/[\\\s]/g, "\\$&")}`,
  );
  return [...(given === undefined ? [] : [given]), ...ours].join(" ");
}
