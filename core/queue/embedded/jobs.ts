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

const maxChars = 512 * 1024;

/** Cuts a yield into jobs of up to 512 KB (or one event), in order within each partition. */
export function toJobs(events: readonly SluiceEvent[], partitions: number): readonly Job[] {
  const jobs: Job[] = [];
  for (const [partition, share] of spread(events, partitions)) {
    let texts: string[] = [];
    let chars = 0;
    let audience: string | null = null;
    const cut = () => {
      if (texts.length > 0)
        jobs.push({ partition, audience, events: texts.length, body: `[${texts.join(",")}]` });
      texts = [];
      chars = 0;
    };
    for (const event of share) {
      const text = JSON.stringify(event);
      const readers = typeof event["audience"] === "string" ? event["audience"] : null;
      if (readers !== audience || chars + text.length > maxChars) cut();
      audience = readers;
      texts.push(text);
      chars += text.length;
    }
    cut();
  }
  return jobs;
}
