import type { SluiceEvent } from "sluice";
import type { Options } from "./config.ts";

export interface Encoded {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Events as a request of the CloudEvents HTTP binding; several only in the mode batch. */
export function encode(events: readonly SluiceEvent[], mode: Options["mode"]): Encoded {
  switch (mode) {
    case "batch":
      return {
        headers: { "content-type": "application/cloudevents-batch+json; charset=utf-8" },
        body: JSON.stringify(events),
      };
    case "structured":
      return {
        headers: { "content-type": "application/cloudevents+json; charset=utf-8" },
        body: events.map((event) => JSON.stringify(event)).join(""),
      };
    case "binary":
      return binary(events);
  }
}

function binary([event]: readonly SluiceEvent[]): Encoded {
  const { data, datacontenttype: type = "application/json", ...attributes } = event ?? {};
  const named = Object.entries(attributes).flatMap(([name, value]) =>
    value === undefined || value === null
      ? []
      : [[`ce-${name}`, percentEncoded(typeof value === "string" ? value : JSON.stringify(value))]],
  );
  const isText = typeof data === "string" && /^text\//i.test(type);
  return {
    headers: { ...(Object.fromEntries(named) as Record<string, string>), "content-type": type },
    body: data === undefined ? "" : isText ? data : JSON.stringify(data),
  };
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
