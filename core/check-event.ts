import { SluiceError } from "./errors.ts";
import { isRecordChange, type SluiceEvent } from "./event.ts";

/**
 * Checks events where they enter the queue: the required attributes are there and texts are
 * well-formed (U+0000 and lone surrogates become U+FFFD, because Postgres, JSON and Pinecone each
 * refuse some of them). Returns the events, the very same objects where nothing had to be mended.
 * Throws `SluiceError` `event.invalid` naming the event: that is a bug in the connector that built it.
 *
 * Hand-written because the CloudEvents SDK's validation costs ten times as much per event.
 */
export function checkEvents(events: readonly SluiceEvent[]): readonly SluiceEvent[] {
  return events.map(checkEvent);
}

const attributeName = /^[a-z0-9]{1,20}$/;
const always = ["id", "source", "type"] as const;
const ofRecords = ["subject", "time", "partitionkey"] as const;
/** Looked up first: this runs for every attribute of every event. */
const commonNames = new Set(
  "specversion id source type subject time data data_base64 sequence partitionkey traceparent".split(
    " ",
  ),
);
const versionShape = /^[0-9a-f]{24}[01]/;

function checkEvent(event: SluiceEvent): SluiceEvent {
  const wrong = problemOf(event);
  if (wrong !== undefined)
    throw new SluiceError(`event ${JSON.stringify(event.id)} of ${event.source}: ${wrong}.`, {
      code: "event.invalid",
      fix: "Build events with upserted(), deleted() and cleared(), versions with version() or nextVersion().",
    });
  return isSound(event) ? event : (mended(event) as SluiceEvent);
}

function problemOf(event: SluiceEvent): string | undefined {
  if (event.specversion !== "1.0") return "specversion must be 1.0";
  for (const name of always) if (!isText(event[name])) return `${name} is missing`;
  for (const name in event)
    if (!commonNames.has(name) && !attributeName.test(name))
      return `attribute ${JSON.stringify(name)} is not 1 to 20 lower-case letters or digits`;
  if (!isRecordChange(event)) return undefined;
  for (const name of ofRecords) if (!isText(event[name])) return `${name} is missing`;
  if (typeof event.sequence !== "string" || !versionShape.test(event.sequence))
    return `sequence ${JSON.stringify(event.sequence)} was not built by version()`;
  if (event.data === null || typeof event.data !== "object") return "data is missing";
  return undefined;
}

function isText(value: unknown): boolean {
  return typeof value === "string" && value.length > 0; // not `=== ""`: that compares characters
}

/** True when there is nothing to mend, which is nearly always: so it allocates nothing. */
function isSound(value: unknown): boolean {
  if (typeof value === "string") return isClean(value);
  if (value === null || typeof value !== "object") return true;
  if (Array.isArray(value)) return value.every(isSound);
  for (const name in value)
    if (!isSound((value as Record<string, unknown>)[name]) || !isClean(name)) return false;
  return true;
}

/** The value with well-formed texts; the same reference when all of them were. */
function mended(value: unknown): unknown {
  if (typeof value === "string") return isClean(value) ? value : clean(value);
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) {
    const items = value.map(mended);
    return items.every((item, at) => item === value[at]) ? value : items;
  }
  let copy: Record<string, unknown> | undefined;
  for (const [name, before] of Object.entries(value)) {
    const after = mended(before);
    if (after === before && isClean(name)) continue;
    copy ??= { ...value };
    delete copy[name];
    // Not an assignment: `__proto__` may be a column's name.
    Object.defineProperty(copy, clean(name), {
      value: after,
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return copy ?? value;
}

function isClean(text: string): boolean {
  return text.isWellFormed() && !text.includes("\0");
}

function clean(text: string): string {
  return text.toWellFormed().replaceAll("\0", "\u{FFFD}");
}
