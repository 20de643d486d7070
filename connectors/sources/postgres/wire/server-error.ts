import type { DatabaseError } from "pg";

/** The error that the body of an `E` message holds, as the driver would make it. */
export function parseServerError(body: Buffer, make: typeof DatabaseError): DatabaseError {
  const fields = new Map<string, string>();
  for (let at = 0; at < body.length && body[at] !== 0;) {
    const end = body.indexOf(0, at + 1);
    if (end < 0) break;
    fields.set(String.fromCharCode(body[at] ?? 0), body.toString("utf8", at + 1, end));
    at = end + 1;
  }
  const error = new make(fields.get("M") ?? "an error without words", body.length, "error");
  error.severity = fields.get("S") ?? "ERROR";
  error.code = fields.get("C");
  error.detail = fields.get("D");
  error.hint = fields.get("H");
  error.where = fields.get("W");
  return error;
}
