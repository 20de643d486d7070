import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, it } from "vitest";
import { isRecordChange } from "../../core/event.ts";
import { seeded } from "../chaos/random.ts";
import { at, document, paragraphs, textOf } from "./documents.ts";
import { openSyncedIndex, type Stored, type SyncedIndex } from "./pipeline.ts";
import { faults, storm } from "./storm.ts";

let open: SyncedIndex[] = [];
afterEach(async () => {
  for (const one of open) one.log.check();
  await Promise.all(open.map((one) => one.close()));
  open = [];
});
const keep = (one: SyncedIndex) => (open.push(one), one);

const poison = "POISONED";
const content = (stored: readonly Stored[]) =>
  stored.map(({ id, values, metadata: { _v, _t, ...metadata } }) => ({ id, values, metadata }));
const total = (counts: ReadonlyMap<string, number>) =>
  [...counts.values()].reduce((sum, count) => sum + count, 0);

function documents() {
  const random = seeded(21);
  return Array.from({ length: 2_000 }, (_, n) => {
    const parts = paragraphs(random, 1 + (n % 4), `d${n}p`);
    return document(`d${n}`, textOf(n === 777 ? [`${poison} text`, ...parts] : parts), at(1));
  });
}

/** Refused for good, like a vector that the service takes for wrong. */
const refusePoison = (body: string) =>
  body.includes(`${poison} text`)
    ? { status: 400, body: { code: 3, message: "the vector is wrong" } }
    : undefined;

it("T10 storm: exact in the end but for the poisoned one, whatever the weather", async () => {
  const all = documents();
  const calm = keep(
    await openSyncedIndex({ partitions: 8, fault: (_, body) => refusePoison(body) }),
  );
  await calm.publish(all);
  await calm.settle();
  const expected = content(await calm.dump());
  const few = total(calm.log.attempts());
  const borne = calm.log.peak();
  expect(borne).toBeGreaterThanOrEqual(3);
  for (const seed of [1, 2, 3]) {
    const draw = faults(storm, seed);
    const one = keep(
      await openSyncedIndex({ partitions: 8, fault: (_, body) => refusePoison(body) ?? draw() }),
    );
    await one.publish(all);
    let attempts = 0;
    await expect
      .poll(() => (attempts += total(one.log.attempts())), { timeout: 20_000, interval: 20 })
      .toBeGreaterThan(20);
    one.log.peak();
    await one.settle(120_000);
    // Concurrency has fallen with the first refusals, and stays low.
    expect(one.log.peak()).toBeLessThan(borne);
    expect(attempts + total(one.log.attempts())).toBeLessThanOrEqual(3 * few);
    one.endFaults();
    await one.settle();
    expect(content(await one.dump())).toEqual(expected);
    const letters = await one.deadLetters();
    expect(letters.map(({ event, error }) => [event.subject, error.code])).toEqual([
      ["d777", "pinecone.invalid"],
    ]);
    one.log.check();
    if (seed < 3) continue;
    // And recovers when it is calm again.
    let version = 1;
    one.log.peak();
    await expect
      .poll(
        async () => {
          version += 1;
          await one.publish(
            all
              .slice(0, 200)
              .map(({ subject }) => document(subject, `${subject} ${version}`, at(version))),
          );
          await one.settle();
          return one.log.peak();
        },
        { timeout: 60_000 },
      )
      .toBeGreaterThanOrEqual(3);
  }
}, 300_000);

it("T10b stop: refused for good, it holds, says why, loses nothing and goes on alone", async () => {
  const statuses = [401, 403];
  const worlds = await Promise.all(
    statuses.map(async (status) => {
      let isRefused = false;
      const one = await openSyncedIndex({
        partitions: 8,
        fault: () => (isRefused ? { status, body: { code: 7, message: "no entry" } } : undefined),
      });
      return { one: keep(one), refuse: (now: boolean) => void (isRefused = now) };
    }),
  );
  const random = seeded(22);
  const text = (n: number) => textOf(paragraphs(random, 2, `d${n}p`));
  const first = Array.from({ length: 40 }, (_, n) => document(`d${n}`, text(n), at(1)));
  const second = Array.from({ length: 40 }, (_, n) => document(`d${n}`, text(n), at(2)));
  await Promise.all(
    worlds.map(async ({ one, refuse }, n) => {
      await one.publish(first);
      await one.settle();
      const before = await one.dump();
      refuse(true);
      await one.publish(second);
      await expect
        .poll(async () => (await one.status()).error?.code, { timeout: 10_000 })
        .toBe(["pinecone.unauthorized", "pinecone.forbidden"][n]);
      await sleep(1_000);
      expect(await one.status()).toMatchObject({
        state: "failing",
        error: { fix: expect.any(String) },
      });
      expect(await one.deadLetters()).toEqual([]);
      expect(await one.dump()).toEqual(before);
      refuse(false);
      await one.settle(60_000);
      expect(await one.status()).toMatchObject({ state: "running" });
      expect((await one.manifests()).every(({ version }) => version === at(2))).toBe(true);
      const subjects = new Set((await one.dump()).map(({ metadata }) => metadata["_subject"]));
      expect(subjects.size).toBe(40);
    }),
  );
  expect(second.every(isRecordChange)).toBe(true);
}, 120_000);
