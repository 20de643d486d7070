import type { Applicable } from "../connector.ts";
import { isRecordChange, type UpsertEvent } from "../event.ts";
import { version } from "../version.ts";

/** The record `identity`, at a version, with what `content` holds. */
export function as(identity: UpsertEvent, content: UpsertEvent, position: number): UpsertEvent {
  const { source, subject, partitionkey } = identity;
  const sequence = version({ epoch: 9, position: BigInt(position), rank: 0, tail: 0 });
  const id = `${subject}@${sequence}`;
  const about = { source, subject, partitionkey, sequence, id };
  const { key } = identity.data;
  // Whichever of the upserts it is, it stays that.
  return { ...content, ...about, data: { ...content.data, key } } as UpsertEvent;
}

/** As many as a batch may hold, all of them different. */
export function manyOf(samples: readonly Applicable[]): readonly Applicable[] {
  const rounds = Math.ceil(100 / samples.length);
  return Array.from({ length: rounds }, (_, round) =>
    samples.map((one) => {
      const subject = `${one.subject}~${round}`;
      return { ...one, id: `${one.id}~${round}`, ...(isRecordChange(one) && { subject }) };
    }),
  ).flat();
}
