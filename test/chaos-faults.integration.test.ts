import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "vitest";
import assert from "node:assert/strict";
import { openGround } from "./chaos/counted/ground.ts";
import { playCounted } from "./chaos/counted/play-counted.ts";
import { scheduleOf } from "./chaos/counted/schedule.ts";

// Half a minute of `npm run chaos -- --faults …` on each backend.
describe.concurrent("three processes under faults", () => {
  it.each(["embedded", "redis"] as const)(
    "lose nothing, keep the order, and put only poison aside (%s)",
    async (kind) => {
      const dir = mkdtempSync(join(tmpdir(), "sluice-faults-"));
      const ground = await openGround(kind, dir);
      try {
        const result = await playCounted({
          seed: 20_261_127,
          kinds: ["kill", "term", "stop", "throttle", "stall", "redis-older", "cut"],
          minutes: 0.5,
          processes: 3,
          perSecond: 500,
          ground,
        });
        const { ok, faults, published, poison } = result;
        assert.ok(ok, JSON.stringify(result));
        assert.ok(faults.length >= 3 && published > 1_000 && poison > 0, JSON.stringify(result));
      } finally {
        await ground.stop();
        rmSync(dir, { recursive: true, force: true });
      }
    },
    240_000,
  );
});

it("plays the same faults for the same seed", () => {
  const kinds = ["kill", "stop", "cut"] as const;
  assert.deepEqual(scheduleOf(7, kinds, 3), scheduleOf(7, kinds, 3));
  assert.notDeepEqual(scheduleOf(7, kinds, 3), scheduleOf(8, kinds, 3));
});
