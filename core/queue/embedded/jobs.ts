import type { SluiceEvent } from "../../event.ts";
import { spread } from "../partition.ts";

/** What one row of the log holds: consecutive events of one partition for the same readers. */
export interface Job {
  readonly partition: number;
  /** The only subscription that gets it. */
  readonly audience: string | null;
  readonly events: number;
  /** JSON array. */
  readonly body: string;
}

const maxChars = 768 * 1024;

/** Makes one job of a partition's share of a yield, several only where it is large or its audience changes. */
export function toJobs(events: readonly SluiceEvent[], partitions: number): readonly Job[] {
  return [...spread(events, partitions)].flatMap(([partition, share]) =>
    runsOf(share).flatMap((run) =>
      bodiesOf(run).map((job) => ({ ...job, partition, audience: audienceOf(run[0]) })),
    ),
  );
}

/** Cuts where the audience changes. */
function runsOf(share: readonly SluiceEvent[]): readonly (readonly SluiceEvent[])[] {
  const starts = share.flatMap((event, at) =>
    at === 0 || audienceOf(event) !== audienceOf(share[at - 1]) ? [at] : [],
  );
  return starts.map((start, at) => share.slice(start, starts[at + 1]));
}

// Whole first, because that is the common case: one call for all events is twice as fast as one call each.
function bodiesOf(events: readonly SluiceEvent[]): readonly Pick<Job, "events" | "body">[] {
  const body = JSON.stringify(events);
  if (body.length <= maxChars || events.length === 1) return [{ events: events.length, body }];
  const size = Math.ceil(events.length / Math.ceil(body.length / maxChars));
  const parts: (readonly SluiceEvent[])[] = [];
  for (let at = 0; at < events.length; at += size) parts.push(events.slice(at, at + size));
  return parts.flatMap(bodiesOf);
}

function audienceOf(event: SluiceEvent | undefined): string | null {
  const audience = event?.["audience"];
  return typeof audience === "string" ? audience : null;
}
