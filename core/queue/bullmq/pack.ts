import { randomUUID } from "node:crypto";
import type { SluiceEvent } from "../../event.ts";

/** What one job carries: some events of one partition, in order. */
export interface Packed {
  /** Random, and kept by every repeat of this job: an add that was repeated adds once. */
  readonly id: string;
  readonly events: number;
  /** The events as a JSON array. */
  readonly json: string;
  /** Events too large for the queue: the array holds them without data, their `dataref` naming the place in this list. */
  readonly payloads: readonly SluiceEvent[];
}

const maxJobBytes = 512 * 1024;
const maxEventBytes = 256 * 1024;
const scheme = "sluice-state:";

/** Cuts the events of one partition into jobs. Each event is made JSON once, whatever the number of subscriptions. */
export function pack(events: readonly SluiceEvent[]): readonly Packed[] {
  const jobs: Packed[] = [];
  let texts: string[] = [];
  let payloads: SluiceEvent[] = [];
  let bytes = 0;
  const flush = () => {
    if (texts.length > 0)
      jobs.push({ id: randomUUID(), events: texts.length, json: `[${texts.join(",")}]`, payloads });
    texts = [];
    payloads = [];
    bytes = 0;
  };
  for (const event of events) {
    let text = JSON.stringify(event);
    const eventBytes = Buffer.byteLength(text);
    if (bytes + Math.min(eventBytes, maxEventBytes) > maxJobBytes) flush();
    if (eventBytes > maxEventBytes) {
      const { data: _data, data_base64: _base64, ...rest } = event;
      text = JSON.stringify({ ...rest, dataref: scheme + payloads.push(event) });
    }
    texts.push(text);
    bytes += Buffer.byteLength(text) + 1;
  }
  flush();
  return jobs;
}

/** The place in `payloads`, from 1, of an event whose data waits in state. */
export function payloadOf(event: SluiceEvent): number | undefined {
  const dataref = event["dataref"];
  if (typeof dataref !== "string" || !dataref.startsWith(scheme)) return undefined;
  return Number(dataref.slice(scheme.length));
}
