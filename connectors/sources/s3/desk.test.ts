import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { openDesk, type Desk } from "./desk.ts";
import type { Reading } from "./read-object.ts";

const contentOf = (text: string): Reading => ({
  kind: "content",
  object: {
    fingerprint: "f",
    etag: "e",
    size: 10,
    modified: new Date(0),
    contentEncoding: undefined,
    mediaType: "text/plain",
    versionId: undefined,
    userMetadata: {},
    content: { text },
  },
});

/** Looks at small objects that grow when they are unpacked; says how many of them were in memory at most. */
async function peakOf(
  maxBytes: number,
): Promise<{ readonly peak: number; readonly taken: number }> {
  const stop = new AbortController();
  let held = 0;
  let peak = 0;
  const desk: Desk = openDesk({
    read: (_look, unpack) =>
      unpack(async () => {
        held += 1;
        peak = Math.max(peak, held);
        await sleep(2);
        return contentOf("x".repeat(2 ** 20));
      }),
    readsAtOnce: 32,
    maxBytes,
    signal: stop.signal,
    wake: () => {},
    fail: (error) => {
      throw error;
    },
  });
  for (let n = 0; n < 40; n++)
    desk.add({ key: `${n}`, isForced: false, isOfPass: true, size: 10, messages: [] }, false);
  let taken = 0;
  while (taken < 40) {
    await sleep(1);
    const some = desk.take();
    taken += some.length;
    held -= some.length;
    desk.freed(some.map(({ look }) => look));
  }
  stop.abort();
  return { peak, taken };
}

it("unpacks only as much side by side as there is memory for, whatever the packed sizes say", async () => {
  const large = await peakOf(64 * 2 ** 20);
  expect(large.taken).toBe(40);
  expect(large.peak).toBeLessThanOrEqual(3);
  const small = await peakOf(5 * 2 ** 20);
  expect(small.peak).toBeGreaterThan(3);
  expect(small.peak).toBeLessThanOrEqual(13);
});
