import type { SluiceEvent } from "../../event.ts";
import { addresseeOf } from "../audience.ts";
import { bodiesOf, type Body } from "../bodies.ts";
import { spread } from "../partition.ts";

/** What one row of the log holds: consecutive events of one partition for the same readers. */
export interface Job extends Body {
  readonly partition: number;
  /** The only subscription that gets it. */
  readonly audience: string | null;
}

/** Enough that a row's own cost does not count, little enough to be done again. */
const maxChars = 512 * 1024;

/** Makes one job of a partition's share of a yield, several only where it is large or its audience changes. */
export function toJobs(events: readonly SluiceEvent[], partitions: number): readonly Job[] {
  return [...spread(events, partitions)].flatMap(([partition, share]) =>
    runsOf(share).flatMap((run) =>
      bodiesOf(run, maxChars).map((body) => ({ ...body, partition, audience: audienceOf(run[0]) })),
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

function audienceOf(event: SluiceEvent | undefined): string | null {
  return (event && addresseeOf(event)) ?? null;
}
