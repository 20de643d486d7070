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

/**
 * A job costs its round trips whatever it holds, a large one page faults and a Redis that is busy with
 * nothing else: 128 KB was fastest end to end, 512 KB a quarter slower.
 */
const maxJobBytes = 128 * 1024;
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

  const append = (events: number, textBytes: number, textOf: () => string) => {
    if (bytes + textBytes > maxJobBytes) flush();
    texts.push(textOf());
    bytes += textBytes;
    count += events;
  };

  const put = (chunk: readonly SluiceEvent[]) => {
    const json = JSON.stringify(chunk);
    const jsonBytes = Buffer.byteLength(json);
    const [event] = chunk;
    if (jsonBytes <= (chunk.length > 1 ? maxJobBytes : maxEventBytes))
      append(chunk.length, jsonBytes, () => json.slice(1, -1));
    else if (chunk.length > 1 || !event) for (const one of chunk) put([one]);
    // Counted in full: what a job holds outside the queue is bounded as well.
    else append(1, jsonBytes, () => JSON.stringify(withoutData(event, payloads.push(event))));
  };

  for (let at = 0; at < events.length; at += chunkEvents) put(events.slice(at, at + chunkEvents));
  flush();
  return jobs;
}

function withoutData(event: SluiceEvent, place: number) {
  const { data: _data, data_base64: _base64, ...rest } = event;
  return { ...rest, dataref: scheme + place };
}

/** The place in `payloads`, from 1, of an event whose data waits in state. */
export function payloadOf(event: SluiceEvent): number | undefined {
  const dataref = event["dataref"];
  if (typeof dataref !== "string" || !dataref.startsWith(scheme)) return undefined;
  return Number(dataref.slice(scheme.length));
}
