import { hash } from "node:crypto";
import type { DocumentUpserted, Metadata } from "../../core/event.ts";
import { version } from "../../core/version.ts";

const source = "/bench/shop/public.articles";
const metadata: Metadata = { author: "Ann", category: "articles" };

/** A document as it leaves `render`. */
export function documentOf(
  subject: string,
  text: string,
  position: number,
  fields: Metadata = metadata,
): DocumentUpserted {
  return {
    specversion: "1.0",
    id: `${subject}@${position}~render`,
    type: "dev.sluice.document.upserted",
    source,
    subject,
    sequence: version({ epoch: 1, position: BigInt(position), rank: 1, tail: 0 }),
    time: new Date().toISOString(),
    partitionkey: `${source}\n${subject}`,
    data: {
      key: subject,
      text,
      metadata: fields,
      mediaType: "text/plain",
      lineage: ["render@1.0.0:00000000"],
    },
  };
}

/** A document of the given chunks, as it leaves `chunk`. */
export function chunkedOf(
  subject: string,
  texts: readonly string[],
  position: number,
): DocumentUpserted {
  let at = 0;
  const chunks = texts.map((text) => {
    const start = at;
    at += text.length + 2;
    const id = `${hash("sha256", text, "hex").slice(0, 16)}~0`;
    return { id, text, start, end: start + text.length };
  });
  const event = documentOf(subject, texts.join("\n\n"), position);
  return { ...event, data: { ...event.data, chunks } };
}
