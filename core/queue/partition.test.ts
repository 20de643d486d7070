import { describe, expect, it } from "vitest";
import { cleared, upserted, type CollectionCleared, type SluiceEvent } from "../event.ts";
import { version } from "../version.ts";
import { inScope, partitionOf, spread } from "./partition.ts";

const at = (n: number) => version({ epoch: 1, position: BigInt(n), rank: 0, tail: 0 });
const time = "2026-01-01T00:00:00Z";
const clear = cleared({ source: "/t", below: at(9), reason: "sweep", time, meta: {} });
const records = Array.from({ length: 500 }, (_, n) =>
  upserted({
    source: "/t",
    key: n,
    subject: `key-${n}`,
    version: at(1),
    time,
    op: "create",
    after: {},
    meta: {},
  }),
);

/** The copies of a clear after a topic of each number of partitions, with the partition each is in. */
function through(hops: readonly number[]): readonly (readonly [number, CollectionCleared])[] {
  let copies: readonly (readonly [number, SluiceEvent])[] = [[0, clear]];
  for (const partitions of hops)
    copies = copies.flatMap(([, copy]) =>
      [...spread([copy], partitions)].flatMap(([partition, events]) =>
        events.map((event) => [partition, event] as const),
      ),
    );
  return copies as readonly (readonly [number, CollectionCleared])[]; // copies of a clear
}

describe("a clear on its way through several topics", () => {
  it("does not multiply where they have as many partitions", () => {
    expect(through([4, 4, 4, 4])).toHaveLength(4);
    expect(through([16, 16, 16])).toHaveLength(16);
  });

  it.each([[[4, 4, 4]], [[4, 2]], [[2, 4]], [[4, 6]], [[3, 5]], [[6, 4, 9]]])(
    "reaches every record it governs where that lies, whatever their numbers: %j",
    (hops) => {
      const partitions = hops.at(-1) ?? 1;
      const copies = through(hops);
      for (const record of records) {
        const own = partitionOf(record, partitions);
        const meeting = copies.filter(
          ([partition, { data }]) => partition === own && inScope(record.partitionkey, data.scope),
        );
        expect(meeting.length, `${record.subject} in ${hops.join(", ")}`).toBeGreaterThan(0);
      }
    },
  );
});
