import { PoisonError, type SluiceEvent } from "sluice";
import type { Options } from "./config.ts";

export interface Encoded {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/**
 * Events as a request of the CloudEvents HTTP binding; several only in the mode batch. Throws
 * `PoisonError` for one whose content type is none.
 */
export function encode(given: readonly SluiceEvent[], mode: Options["mode"]): Encoded {
  // It names the subscription that an event was for: this one, and nothing to whom we send it.
  const events = given.map((event) =>
    event.audience === undefined ? event : { ...event, audience: undefined },
  );
  switch (mode) {
    case "batch":
      return {
        headers: { "content-type": "application/cloudevents-batch+json; charset=utf-8" },
        body: Buffer.from(JSON.stringify(events)),
      };
    case "structured":
      return {
        headers: { "content-type": "application/cloudevents+json; charset=utf-8" },
        body: Buffer.from(events.map((event) => JSON.stringify(event)).join("")),
      };
    case "binary":
      return binary(events);
  }
}

function binary([event]: readonly SluiceEvent[]): Encoded {
  const { data, data_base64: bytes, datacontenttype, ...attributes } = event ?? {};
  const isBytes = typeof bytes === "string";
  const type = datacontenttype ?? (isBytes ? "application/octet-stream" : "application/json");
  // `fetch` would throw as if nobody answered, and the event be sent for ever.
  if (!/^[ -~]*$/.test(type))
    throw new PoisonError(`http: content type ${JSON.stringify(type.slice(0, 100))} is none.`, {
      code: "http.content-type",
      fix: "Correct `datacontenttype` of the event, then replay the dead letter.",
    });
  const named = Object.entries(attributes).flatMap(([name, value]) =>
    value === undefined || value === null ? [] : [[`ce-${name}`, attributeText(value)]],
  );
  const headers = Object.fromEntries(named) as Record<string, string>;
  if (isBytes)
    return { headers: { ...headers, "content-type": type }, body: Buffer.from(bytes, "base64") };
  if (data === undefined) return { headers, body: Buffer.alloc(0) };
  const isText = typeof data === "string" && /^text\//i.test(type);
  return {
    headers: { ...headers, "content-type": type },
    body: Buffer.from(isText ? data : JSON.stringify(data)),
  };
}

function attributeText(value: unknown): string {
  return percentEncoded(typeof value === "string" ? value : JSON.stringify(value));
}

/** As the binding has it: all but printable ASCII, and of that space, `"` and `%`. */
function percentEncoded(value: string): string {
  return value
    .toWellFormed()
    .replace(/[^!-~]|["%]/gu, (character) =>
      [...Buffer.from(character)]
        .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`)
        .join(""),
    );
}
