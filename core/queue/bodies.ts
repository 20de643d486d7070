import type { SluiceEvent } from "../event.ts";

/** What one job carries: consecutive events of one partition as a JSON array. */
export interface Body {
  readonly events: number;
  readonly json: string;
}

/** UTF-16 units of a body: enough that a job's own cost does not count, little enough to be done again. */
const maxChars = 512 * 1024;

/** Cuts a partition's share of a yield into bodies of up to 512 KB, in order; one event may be larger. */
export function bodiesOf(events: readonly SluiceEvent[]): readonly Body[] {
  if (events.length === 0) return [];
  // Whole first, because that is the common case: one call for all events is twice as fast as one call each.
  const json = JSON.stringify(events);
  if (json.length <= maxChars || events.length === 1) return [{ events: events.length, json }];
  const size = Math.ceil(events.length / Math.ceil(json.length / maxChars));
  const parts: (readonly SluiceEvent[])[] = [];
  for (let at = 0; at < events.length; at += size) parts.push(events.slice(at, at + size));
  return parts.flatMap((part) => bodiesOf(part));
}
