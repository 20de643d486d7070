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

/** So many events are made JSON at once: a call an event would cost half as much again. */
const chunkEvents = 32;

/** Cuts the events of one partition into jobs. Each event is made JSON once, whatever the number of subscriptions. */
export function pack(events: readonly SluiceEvent[]): readonly Packed[] {
  const jobs: Packed[] = [];
  let texts: string[] = [];
  let payloads: SluiceEvent[] = [];
  let bytes = 0;
  let count = 0;

  const flush = () => {
    if (count > 0)
      jobs.push({ id: randomUUID(), events: count, json: `[${texts.join(",")}]`, payloads });
    texts = [];
    payloads = [];
    bytes = count = 0;
  };

  const put = (chunk: readonly SluiceEvent[]) => {
    const json = JSON.stringify(chunk);
    const chunkBytes = Buffer.byteLength(json);
    if (chunkBytes > maxEventBytes && chunk.length > 1) return chunk.forEach((event) => put([event]));
    if (chunkBytes <= maxEventBytes) return append(chunk.length, json.slice(1, -1), chunkBytes);
    for (const event of chunk) claim(event, chunkBytes);
  };

  const append = (events: number, text: string, textBytes: number) => {
    if (bytes + textBytes > maxJobBytes) flush();
    texts.push(text);
    bytes += textBytes;
    count += events;
  };

  /** A new job where the event itself would have needed one, so that a job's payloads are bounded as well. */
  const claim = (event: SluiceEvent, eventBytes: number) => {
    if (bytes + eventBytes > maxJobBytes) flush();
    const { data: _data, data_base64: _base64, ...rest } = event;
    append(1, JSON.stringify({ ...rest, dataref: scheme + payloads.push(event) }), eventBytes);
  };

  for (let at = 0; at < events.length; at += chunkEvents) put(events.slice(at, at + chunkEvents));
  flush();
  return jobs;
}

/** The place in `payloads`, from 1, of an event whose data waits in state. */
export function payloadOf(event: SluiceEvent): number | undefined {
  const dataref = event["dataref"];
  if (typeof dataref !== "string" || !dataref.startsWith(scheme)) return undefined;
  return Number(dataref.slice(scheme.length));
}
