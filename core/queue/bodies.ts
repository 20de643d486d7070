import type { SluiceEvent } from "../event.ts";

/** Consecutive events of one partition as a JSON array. */
export interface Body {
  readonly events: number;
  readonly json: string;
}

const samples = 8;

/** Makes JSON of a partition's share of a yield: bodies of up to `maxChars`, in order; one event may be larger. */
export function bodiesOf(events: readonly SluiceEvent[], maxChars: number): readonly Body[] {
  if (events.length === 0) return [];
  const parts = Math.max(1, Math.ceil((events.length * typicalChars(events)) / maxChars));
  const size = Math.ceil(events.length / parts);
  const bodies: Body[] = [];
  for (let at = 0; at < events.length; at += size)
    bodies.push(...fitting(events.slice(at, at + size), maxChars));
  return bodies;
}

// As much as possible at once: a call for many events is twice as fast as a call for each.
function fitting(events: readonly SluiceEvent[], maxChars: number): readonly Body[] {
  const json = JSON.stringify(events);
  if (json.length <= maxChars || events.length === 1) return [{ events: events.length, json }];
  const middle = events.length >> 1;
  return [
    ...fitting(events.slice(0, middle), maxChars),
    ...fitting(events.slice(middle), maxChars),
  ];
}

/** Of an event, by a few of them, rounded up: so that hardly anything is made JSON twice. */
function typicalChars(events: readonly SluiceEvent[]): number {
  const step = Math.ceil(events.length / samples);
  const some = events.filter((_, at) => at % step === 0);
  return (JSON.stringify(some).length / some.length) * 1.1;
}
