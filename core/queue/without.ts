import type { SluiceEvent } from "../event.ts";

/** A job's events without those of one record; `undefined` where it has none. */
export function withoutRecord(
  json: string,
  { source, subject }: { readonly source: string; readonly subject: string },
): { readonly json: string; readonly left: number; readonly removed: number } | undefined {
  // Most have none, and looking for a text costs less than parsing.
  if (!json.includes(JSON.stringify(subject))) return undefined;
  const events = JSON.parse(json) as readonly SluiceEvent[];
  const kept = events.filter((event) => event.source !== source || event.subject !== subject);
  const removed = events.length - kept.length;
  return removed === 0 ? undefined : { json: JSON.stringify(kept), left: kept.length, removed };
}
