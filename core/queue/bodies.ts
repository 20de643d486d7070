import type { SluiceEvent } from "../event.ts";

/** What one job carries: consecutive events of one partition as a JSON array. */
export interface Body {
  readonly events: number;
  readonly json: string;
}

/** UTF-16 units of a body: enough that a job's own cost does not count, little enough to be done again. */
const maxChars = 512 * 1024;
const samples = 8;

/** Cuts a partition's share of a yield into bodies of up to 512 KB, in order; one event may be larger. */
export function bodiesOf(events: readonly SluiceEvent[]): readonly Body[] {
  if (events.length === 0) return [];
  const parts = Math.max(1, Math.ceil((events.length * typicalChars(events)) / maxChars));
  const size = Math.ceil(events.length / parts);
  const bodies: Body[] = [];
  for (let at = 0; at < events.length; at += size)
    bodies.push(...fitting(events.slice(at, at + size)));
  return bodies;
}

// As much as possible at once: a call for many events is twice as fast as a call for each.
function fitting(events: readonly SluiceEvent[]): readonly Body[] {
  const json = JSON.stringify(events);
  if (json.length <= maxChars || events.length === 1) return [{ events: events.length, json }];
  const middle = events.length >> 1;
  return [...fitting(events.slice(0, middle)), ...fitting(events.slice(middle))];
}

/** Of an event, by a few of them, rounded up: so that hardly anything is made JSON twice. */
function typicalChars(events: readonly SluiceEvent[]): number {
  const step = Math.ceil(events.length / samples);
  const some = events.filter((_, at) => at % step === 0);
  return (JSON.stringify(some).length / some.length) * 1.1;
}
