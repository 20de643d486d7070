import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
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

interface Reader {
  readonly key: string;
  readonly bytes: number;
  /** What there is said to be. */
  readonly told: number;
}

/** Reads these, and says what was held at most, how many reads had begun at most, and how often one had to wait. */
async function peakOf(readers: readonly Reader[], maxBytes: number) {
  const stop = new AbortController();
  const held = new Map<string, number>();
  const seen = { bytes: 0, begun: 0, waits: 0 };
  const desk: Desk = openDesk({
    read: async ({ key }, room) => {
      begun += 1;
      seen.begun = Math.max(seen.begun, begun);
      await sleep(1);
      const bytes = readers.find((reader) => reader.key === key)?.bytes ?? 0;
      const turn = room(bytes);
      if (turn) seen.waits += 1;
      await turn;
      held.set(key, bytes);
      seen.bytes = Math.max(
        seen.bytes,
        [...held.values()].reduce((a, b) => a + b, 0),
      );
      await sleep(2);
      held.delete(key);
      begun -= 1;
      return contentOf("x");
    },
    giveUp: async (_look, cause) => {
      throw cause;
    },
    readsAtOnce: 32,
    maxBytes,
    signal: stop.signal,
    wake: () => {},
    fail: (error) => {
      throw error;
    },
  });
  let begun = 0;
  const look = { isForced: false, isOfPass: true, messages: [] } as const;
  for (const { key, told } of readers) desk.add({ ...look, key, size: told }, false);
  const taken: string[] = [];
  for (const deadline = performance.now() + 20_000; taken.length < readers.length; await sleep(1)) {
    if (performance.now() > deadline) throw new Error(`only ${taken.length} were read`);
    const looks = desk.take().map((one) => one.look);
    taken.push(...looks.map(({ key }) => key));
    desk.freed(looks);
  }
  stop.abort();
  return { ...seen, taken: new Set(taken).size };
}

const mebi = 2 ** 20;
const readersOf = (count: number, each: (at: number) => Omit<Reader, "key">): Reader[] =>
  Array.from({ length: count }, (_, at) => ({ key: `${at}`, ...each(at) }));

describe("a desk", () => {
  it("holds no more than there is memory for, however little it was told to expect", async () => {
    for (const told of [0, 5, -1]) {
      const readers = readersOf(32, () => ({ bytes: 40 * mebi, told }));
      const { taken, bytes, waits } = await peakOf(readers, 64 * mebi);
      expect({ taken, bytes }).toEqual({ taken: 32, bytes: 40 * mebi });
      expect(waits).toBeGreaterThan(0);
    }
  });

  it("begins no read that there is no memory for, where that is known", async () => {
    const readers = readersOf(12, () => ({ bytes: 40 * mebi, told: 40 * mebi }));
    const seen = await peakOf(readers, 64 * mebi);
    expect(seen).toEqual({ taken: 12, bytes: 40 * mebi, begun: 1, waits: 0 });
  });

  it("shares one memory among all kinds and sizes, and nobody waits for ever", async () => {
    const sizes = [64, 1, 0.1, 33, 5, 64, 2, 40];
    const readers = readersOf(200, (at) => ({
      bytes: (sizes[at % sizes.length] ?? 0) * mebi,
      told: at % 3 === 0 ? 5 : (sizes[(at * 5) % sizes.length] ?? 0) * mebi,
    }));
    const { taken, bytes } = await peakOf(readers, 64 * mebi);
    expect(taken).toBe(200);
    expect(bytes).toBeLessThanOrEqual(64 * mebi);
  });

  it("reads small objects side by side", async () => {
    const seen = await peakOf(
      readersOf(100, () => ({ bytes: 1_000, told: 1_000 })),
      5 * mebi,
    );
    expect(seen).toMatchObject({ taken: 100, begun: 32, waits: 0 });
  });

  it("reads what failed before beside others, and never many of those at once", async () => {
    const stop = new AbortController();
    const order: string[] = [];
    let [again, most] = [0, 0];
    const desk = openDesk({
      read: async ({ key, isAgain = false }) => {
        order.push(key);
        if (isAgain) most = Math.max(most, ++again);
        await sleep(isAgain ? 20 : 1);
        if (isAgain) again -= 1;
        return contentOf("x");
      },
      giveUp: async (_look, cause) => {
        throw cause;
      },
      readsAtOnce: 8,
      maxBytes: mebi,
      signal: stop.signal,
      wake: () => {},
      fail: (error) => {
        throw error;
      },
    });
    const look = { isForced: false, isOfPass: false, size: 1, messages: [] } as const;
    for (let n = 0; n < 40; n++) desk.add({ ...look, key: `failed-${n}`, isAgain: true }, false);
    desk.add({ ...look, key: "failed-39" }, true); // it changed, so it is like any other
    for (let n = 0; n < 10; n++) desk.add({ ...look, key: `listed-${n}` }, false);
    await expect.poll(() => order.length, { timeout: 10_000 }).toBe(50);
    stop.abort();
    expect(most).toBe(2);
    expect(order.indexOf("failed-39")).toBeLessThan(5);
    expect(order.indexOf("listed-9")).toBeLessThan(20);
  });
});
