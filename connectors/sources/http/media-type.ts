import type { IncomingHttpHeaders } from "node:http";
import { Refusal } from "./refusal.ts";

/** In lower case, without parameters. Throws `Refusal` 415 for what is encoded. */
export function mediaTypeOf(headers: IncomingHttpHeaders): string {
  const coding = headers["content-encoding"] ?? "identity";
  if (coding.toLowerCase() !== "identity")
    throw new Refusal(415, `content encoding ${coding} is not taken.`, {
      fix: "Send the body uncompressed.",
      headers: { "accept-encoding": "identity" },
    });
  const [type = "", ...parameters] = (headers["content-type"] ?? "").toLowerCase().split(";");
  const charset = parameters.find((one) => one.trim().startsWith("charset="))?.split("=")[1];
  if (charset !== undefined && !/^"?(utf-?8|us-ascii)"?$/.test(charset.trim()))
    throw new Refusal(415, `charset ${charset.trim()} is not taken.`, { fix: "Send UTF-8." });
  return type.trim();
}

export function isJson(type: string): boolean {
  return /[/+]json$/.test(type);
}

const ofEvents = "application/cloudevents+json, application/cloudevents-batch+json";

/** 415, with what would be taken instead. */
export function unknownType(type: string, wanted?: string): Refusal {
  const said = type === "" ? "there is no content type." : `content type ${type} is not taken.`;
  return new Refusal(415, said, {
    fix: `Send ${wanted ?? `${ofEvents}, or the ce- headers beside the data`}.`,
    headers: { accept: wanted ?? `${ofEvents}, application/json` },
  });
}
