import type { IncomingHttpHeaders } from "node:http";
import type { CloudEvent } from "cloudevents";
import type { MessageEvent } from "sluice";
import { textOf } from "./body.ts";
import { maxBatchEvents } from "./desk.ts";
import { isObject, parseJson } from "./json.ts";
import { isJson, mediaTypeOf, unknownType } from "./media-type.ts";
import { invalid, Refusal } from "./refusal.ts";

/** The SDK, as far as it is used here: loaded when the source runs. */
export interface Sdk {
  readonly CloudEvent: typeof CloudEvent;
  readonly HTTP: {
    readonly toEvent: (message: { headers: IncomingHttpHeaders; body: unknown }) => unknown;
  };
}

export type Mode = "binary" | "structured" | "batch";

const required = ["specversion", "id", "source", "type"] as const;
/** Attributes are kept where data is not: while an answer is waited for, in state, in logs. */
const maxAttributeLength = 2_048;
const base64 = /^(?:[A-Za-z\d+/]{4})*(?:[A-Za-z\d+/]{2}==|[A-Za-z\d+/]{3}=)?$/;
const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i;

/** How events stand in a request. Throws `Refusal` 400 and 415, before its body is read. */
export function modeOf(headers: IncomingHttpHeaders): Mode {
  const type = mediaTypeOf(headers);
  if (type === "application/cloudevents+json") return "structured";
  if (type === "application/cloudevents-batch+json") return "batch";
  if (type.startsWith("application/cloudevents")) throw unknownType(type);
  const names = Object.keys(headers);
  if (!names.some((name) => name.startsWith("ce-"))) {
    if (!isJson(type)) throw unknownType(type);
    throw invalid(
      `no CloudEvent: the content type is ${type}, and there is no header ce-id, ce-source, ce-type or ce-specversion.`,
      "Send application/cloudevents+json, or the ce- headers beside the data.",
    );
  }
  return "binary";
}

/**
 * The events of a request, validated strictly by the CloudEvents SDK, as plain objects that hold what
 * was sent: the SDK's own would lose fractions of seconds and data that is `0`, `false` or `null`.
 * Throws `Refusal` 400 that names what is wrong, 413 for too many.
 */
export function eventsOf(
  sdk: Sdk,
  mode: Mode,
  headers: IncomingHttpHeaders,
  body: Buffer,
): readonly MessageEvent[] {
  switch (mode) {
    case "binary":
      return [judged(sdk, fromHeaders(sdk, headers, body), "the event")];
    case "structured":
      return [judged(sdk, parseJson(textOf(body)), "the event")];
    case "batch": {
      const all = parseJson(textOf(body));
      if (!Array.isArray(all)) throw invalid("a batch must be a JSON array of events.");
      if (all.length > maxBatchEvents)
        throw new Refusal(413, `a batch of ${all.length} events.`, {
          fix: `Send at most ${maxBatchEvents} events at once.`,
        });
      return all.map((one: unknown, at) => judged(sdk, one, `event ${at}`));
    }
  }
}

function fromHeaders({ HTTP }: Sdk, headers: IncomingHttpHeaders, body: Buffer): unknown {
  const plain: IncomingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers))
    if (name.startsWith("ce-") && typeof value === "string") plain[name] = percentDecoded(value);
  for (const name of required)
    if (!plain[`ce-${name}`]) throw invalid(`the event has no ${name}: no header ce-${name}.`);
  const type = headers["content-type"];
  // The body is read below: the SDK takes `12` for a text.
  const { data: _, ...attributes } = HTTP.toEvent({ headers: plain, body: undefined }) as {
    data?: unknown;
  };
  const time = plain["ce-time"];
  return {
    ...attributes,
    ...(time !== undefined && { time }),
    ...(type !== undefined && { datacontenttype: type }),
    ...(body.length > 0 && dataOf(mediaTypeOf(headers), body)),
  };
}

/** What is neither JSON nor text stays bytes, as the JSON format has them. */
function dataOf(type: string, body: Buffer): Readonly<Record<string, unknown>> {
  if (type === "" || isJson(type)) return { data: parseJson(textOf(body)) };
  if (type.startsWith("text/")) return { data: textOf(body) };
  return { data_base64: body.toString("base64") };
}

function judged({ CloudEvent }: Sdk, sent: unknown, which: string): MessageEvent {
  if (!isObject(sent)) throw invalid(`${which} must be a JSON object.`);
  // As the specification has it: an attribute that is null is absent.
  const given = Object.entries(sent).filter(
    ([name, value]) => name === "data" || (value !== null && value !== undefined),
  );
  const event = Object.fromEntries(given);
  const missing = required.filter((name) => event[name] === undefined || event[name] === "");
  if (missing.length > 0) throw invalid(`${which} has no ${missing.join(", no ")}.`);
  const named = `${which} ${JSON.stringify(event["id"]).slice(0, 100)}`;
  if (event["specversion"] !== "1.0")
    throw invalid(`${named}: specversion ${JSON.stringify(event["specversion"])} is not 1.0.`);
  const { data_base64: bytes } = event;
  if (bytes !== undefined && (typeof bytes !== "string" || !base64.test(bytes)))
    throw invalid(`${named}: data_base64 is not base64.`);
  if (bytes !== undefined && event["data"] !== undefined)
    throw invalid(`${named} has both data and data_base64.`);
  for (const [name, value] of given)
    if (name !== "data" && name !== "data_base64" && !isAttribute(value))
      throw invalid(
        `${named}: ${name} must be a text of up to ${maxAttributeLength} characters, a whole number or true or false.`,
      );
  const { time = new Date().toISOString() } = event;
  if (typeof time !== "string" || !rfc3339.test(time) || Number.isNaN(Date.parse(time)))
    throw invalid(`${named}: time ${JSON.stringify(time)} is no RFC 3339 time.`);
  try {
    // Without the data: attributes are what it judges, and a copy of a large body costs.
    const { data: _, data_base64: __, ...attributes } = event;
    new CloudEvent({ ...attributes, time }, false).validate();
  } catch (error) {
    throw invalid(`${named}: ${problemsOf(error)}.`);
  }
  return { ...event, time } as unknown as MessageEvent; // as the SDK has just found it
}

/** The SDK's errors carry those of its schema validator. */
function problemsOf(error: unknown): string {
  const { message, errors } = error as {
    readonly message: string;
    readonly errors?:
      | readonly { readonly instancePath?: string; readonly message?: string }[]
      | null;
  };
  const each = (errors ?? []).flatMap(({ instancePath = "", message: why }) =>
    why === undefined ? [] : `${instancePath.slice(1)} ${why}`.trim(),
  );
  return each.length > 0 ? [...new Set(each)].join(", ") : (message.split("\n")[0] ?? "");
}

function isAttribute(value: unknown): boolean {
  if (typeof value === "string") return value.length <= maxAttributeLength;
  return typeof value === "boolean" || Number.isSafeInteger(value);
}

/** As the HTTP binding has it; what is no such sequence is left, for many senders do not encode. */
function percentDecoded(value: string): string {
  return value.replace(/(?:%[\da-f]{2})+/gi, (part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part; // no UTF-8: it was meant as it stands
    }
  });
}
