import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { openGround } from "./chaos/counted/ground.ts";
import { startCounted, type CountedProcess } from "./chaos/counted/processes.ts";
import { openWorld } from "./chaos/counted/world.ts";
import { recordCheckpoints } from "./checkpoint-writes.ts";

// Two processes with the same source: one reads, the other takes over.

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

describe.each(["embedded", "redis"] as const)("a source in two processes on %s", (kind) => {
  it.each([
    ["SIGKILL", 15_000],
    ["SIGTERM", 2_000],
    ["SIGSTOP", 15_000],
  ] as const)(
    "is taken over after %s within %i ms, without a gap",
    async (signal, withinMs) => {
      const dir = mkdtempSync(join(tmpdir(), "sluice-standby-"));
      ends.push(() => rmSync(dir, { recursive: true, force: true }));
      const { place, isHeld, stop } = await openGround(kind, dir);
      ends.push(stop);
      const world = openWorld(20_261_127, 500);
      ends.push(world.close);
      const checkpoints = await recordCheckpoints(place);
      ends.push(checkpoints.stop);
      const start = () => {
        const log = (_level: string, message: string) => void said.push(message);
        const one = startCounted(
          {
            seed: 20_261_127,
            project: "standby",
            place,
            partitions: 2,
            maxWaiting: 100,
            most: 50,
            forgets: true,
          },
          world,
          log,
        );
        ends.push(async () => {
          one.signal("SIGKILL");
          await one.exited;
        });
        return one;
      };
      const said: string[] = [];
      const first = start();
      await expect.poll(() => world.reader(), { timeout: 15_000 }).toBe(first.pid);
      const second = start();
      const isStandby = () => said.some((message) => /standing by to take over/.test(message));
      await expect.poll(isStandby, { timeout: 15_000 }).toBe(true);
      await handsOn(first);

      const at = await hit(first);
      await expect.poll(() => world.reader(), { timeout: withinMs, interval: 10 }).toBe(second.pid);
      const ms = (world.begins.at(-1)?.at ?? Infinity) - at;
      expect(ms).toBeLessThan(withinMs);
      await handsOn(second);
      first.signal("SIGCONT");
      await sleep(signal === "SIGSTOP" ? 3_000 : 500); // nothing to wait for: what must not happen is that it writes
      const end = world.end();
      await expect.poll(() => world.ledger.missing(end), { timeout: 30_000, interval: 50 }).toBe(0);
      await expect.poll(() => world.confirmed(), { timeout: 15_000, interval: 50 }).toBe(end);
      expect(world.faults).toEqual([]);
      expect(world.ledger.tally(end, new Set()).orderViolations).toEqual([]);
      const all = checkpoints.all();
      expect(all.filter(({ by }, n) => by !== all[n - 1]?.by).map(({ by }) => by)).toEqual([
        first.pid,
        second.pid,
      ]);
      expect(all.every(({ after }, n) => after > (all[n - 1]?.after ?? 0))).toBe(true);

      /** Resolves to when. What stands still in the midst of a write has the embedded file: nobody can take over from it. */
      async function hit(one: CountedProcess): Promise<number> {
        for (;;) {
          const at = performance.now();
          one.signal(signal);
          if (signal !== "SIGSTOP" || !(await isHeld())) return at;
          one.signal("SIGCONT");
          await sleep(100); // it writes on
        }
      }

      /** It has stored checkpoints. */
      async function handsOn({ pid }: CountedProcess): Promise<void> {
        await expect
          .poll(() => checkpoints.all().filter(({ by }) => by === pid).length, { timeout: 15_000 })
          .toBeGreaterThan(20);
      }
    },
    90_000,
  );
});
