import {
  deleted,
  upserted,
  type DocumentUpserted,
  type Metadata,
  type RecordDeleted,
} from "../../core/event.ts";
import { version, type Version } from "../../core/version.ts";
import type { Random } from "../chaos/random.ts";

export const source = "/test/articles";

export function at(position: number, epoch = 1): Version {
  return version({ epoch, position: BigInt(position), rank: 1, tail: 0 });
}

/** A document as `parse` or `render` make it: not chunked yet. */
export function document(
  subject: string,
  text: string,
  sequence: Version,
  more: { readonly source?: string; readonly metadata?: Metadata } = {},
): DocumentUpserted {
  const about = { ...aboutOf(subject, sequence, more.source), op: "update", after: {} } as const;
  const { data: _, ...attributes } = upserted(about);
  return {
    ...attributes,
    type: "dev.sluice.document.upserted",
    data: {
      key: subject,
      text,
      metadata: more.metadata ?? { uri: `test:${subject}` },
      mediaType: "text/plain",
      lineage: ["test@1.0.0:00000000"],
    },
  };
}

export function removal(subject: string, sequence: Version, from = source): RecordDeleted {
  return deleted(aboutOf(subject, sequence, from));
}

function aboutOf(subject: string, sequence: Version, from = source) {
  const time = new Date().toISOString();
  return { source: from, key: subject, subject, version: sequence, time, meta: {} };
}

const words =
  "river stone lantern harbour copper meadow signal winter thread orchard engine ladder paper summit anchor velvet mirror garden bridge cellar".split(
    " ",
  );

/** A paragraph that makes one chunk of 40 tokens at most, and two of which make more. */
export function paragraph(random: Random, mark: string): string {
  return `${mark} ${Array.from({ length: 24 }, () => random.pick(words)).join(" ")}.`;
}

export function paragraphs(random: Random, count: number, mark: string): readonly string[] {
  return Array.from({ length: count }, (_, n) => paragraph(random, `${mark}${n}`));
}

export function textOf(parts: readonly string[]): string {
  return parts.join("\n\n");
}
