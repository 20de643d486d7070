import type { SluiceEvent } from "../event.ts";
import type { Records } from "./queue.ts";

/** A job's events without those that are meant; `undefined` where it has none. */
export function withoutRecords(
  json: string,
  { source, has }: Records,
): { readonly json: string; readonly left: number; readonly removed: number } | undefined {
  // Looking for a text costs less than parsing.
  if (!json.includes(JSON.stringify(source))) return undefined;
  const events = JSON.parse(json) as readonly SluiceEvent[];
  const kept = events.filter((event) => event.source !== source || !has(event.subject ?? ""));
  const removed = events.length - kept.length;
  return removed === 0 ? undefined : { json: JSON.stringify(kept), left: kept.length, removed };
}
