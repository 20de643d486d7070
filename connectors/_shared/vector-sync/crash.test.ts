import { describe, expect, it } from "vitest";
import { cleared, type DocumentUpserted } from "sluice";
import { play, type Stage } from "./dying.test.data.ts";
import { at, doc, gone, random, source } from "./harness.ts";
import type { VectorWriterOptions } from "./writer.ts";

const subjects = Array.from({ length: 20 }, (_, n) => `d${n}`);
const texts = (subject: string, count: number, from = 0) =>
  Array.from({ length: count }, (_, n) => `${subject} paragraph ${n + from}`);
const every = (make: (subject: string, n: number) => DocumentUpserted) => subjects.map(make);

const inserted = every((s) => doc(s, texts(s, 3), at(1)));
const edited = every((s, n) =>
  // Of each four: one new text, one changed metadata, one other heading, one moved to the end.
  doc(
    s,
    [
      [...texts(s, 2), "edited"],
      texts(s, 3),
      texts(s, 3).map((text) => ({ text, context: "Heading" })),
      texts(s, 4, 1),
    ][n % 4] ?? [],
    at(2),
    n % 4 === 1 ? { metadata: { tag: "changed" } } : {},
  ),
);
const shrunk = every((s) => doc(s, texts(s, 1), at(3)));
// Half way back to what was: ids that a crash left half deleted are wanted again.
const regrown = every((s) => doc(s, texts(s, 3), at(4)));
const removed = subjects.slice(0, 10).map((s) => gone(s, at(5)));
const again = subjects.slice(0, 5).map((s) => doc(s, texts(s, 2), at(6)));
const clear = cleared({
  source,
  below: at(6),
  reason: "sweep",
  time: "2026-01-01T00:00:00Z",
  meta: {},
});

const stages: readonly Stage[] = [
  { batch: inserted, live: inserted },
  { batch: edited, live: edited },
  { batch: shrunk, live: shrunk },
  { batch: regrown, live: regrown },
  { batch: removed, live: regrown.slice(10) },
  { batch: again, live: [...again, ...regrown.slice(10)] },
  { batch: [clear], live: again },
];

/** Texts of the first stage, embedded in one call. */
const largestCall = 60;
const limits = { maxVectors: 16, maxDeleteIds: 12, maxFetchIds: 10 };

describe("killed at a call, then redelivered", () => {
  for (const death of ["before", "half", "after"] as const)
    for (const [memory, options] of Object.entries<Partial<VectorWriterOptions>>({
      "with a cache": {},
      "without a cache": { vectorCacheBytes: 0 },
    })) {
      it(`at every one: ${death} it, ${memory}`, async () => {
        const whole = await play({ stages, limits, parts: options }, [], death);
        expect(whole.calls).toBeGreaterThan(50);
        for (let fatal = 1; fatal <= whole.calls; fatal++) {
          const { deaths, embedded } = await play(
            { stages, limits, parts: options },
            [fatal],
            death,
          );
          expect(deaths).toBe(1);
          // With a cache, only the texts of the call that was cut short are paid for twice.
          if (options.vectorCacheBytes !== 0)
            expect(embedded - whole.embedded).toBeLessThanOrEqual(largestCall);
        }
      });

      it(`again and again: ${death} it, ${memory}`, async () => {
        const next = random(11);
        for (let round = 0; round < 25; round++) {
          const fatals = Array.from({ length: 6 }, () => 1 + Math.floor(next() * 20));
          expect((await play({ stages, limits, parts: options }, fatals, death)).deaths).toBe(6);
        }
      });
    }
});
