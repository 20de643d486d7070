import { randomUUID } from "node:crypto";
import type { SluiceEvent } from "../../event.ts";
import { bodiesOf } from "../bodies.ts";

/** A job to add: part of one yield, for one partition. */
export interface NewJob {
  /** Kept by every repeat of this job on one server: an add that was repeated adds once. */
  readonly id: string;
  readonly events: number;
  /** The events, in order: JSON arrays. */
  readonly pieces: readonly string[];
}

/** Enough that the job's own cost does not count, little enough to be done again. */
const maxChars = 512 * 1024;
/** V8 keeps larger strings, and libc larger buffers, in pages that are mapped, faulted in and unmapped for each. */
const maxPieceChars = 96 * 1024;

/** Cuts a partition's share of a yield into jobs of up to 512 KB, each in pieces of up to 96 KB; one event may be larger. */
export function newJobs(events: readonly SluiceEvent[]): readonly NewJob[] {
  const jobs: { id: string; events: number; pieces: string[]; chars: number }[] = [];
  for (const { events: count, json } of bodiesOf(events, maxPieceChars)) {
    const last = jobs.at(-1);
    if (last && last.chars + json.length <= maxChars) {
      last.events += count;
      last.pieces.push(json);
      last.chars += json.length;
    } else jobs.push({ id: newJobId(), events: count, pieces: [json], chars: json.length });
  }
  return jobs;
}

/** When it was made (base 36), so that a sweep can tell old from new, and random. */
export function newJobId(): string {
  return `${Date.now().toString(36)}-${randomUUID()}`;
}
