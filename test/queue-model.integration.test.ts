import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, it, onTestFinished } from "vitest";
import { openParty as openRedisParty } from "../core/queue/bullmq/index.integration.test.child.ts";
import type { Party, PartyOptions } from "../core/queue/conformance.ts";
import { openParty as openEmbeddedParty } from "../core/queue/embedded/index.test.child.ts";
import { commands } from "./queue-model/commands.ts";
import { emptyLines, names, newModel } from "./queue-model/model.ts";
import { consume, openReal } from "./queue-model/real.ts";
import { startRedis } from "./redis-server.ts";

// Random histories of a topic against a model of it (Invariants 2, 3). SLUICE_SEED and SLUICE_RUNS play others.

const seed = Number(process.env["SLUICE_SEED"] ?? 20_261_127);
const numRuns = Number(process.env["SLUICE_RUNS"] ?? 12);

const places: Record<string, () => Promise<(options: PartyOptions) => Promise<Party>>> = {
  embedded: async () => {
    const dir = mkdtempSync(join(tmpdir(), "sluice-model-"));
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    return async (options) => openEmbeddedParty(dir, options);
  },
  redis: async () => {
    const redis = await startRedis();
    onTestFinished(redis.stop);
    return (options) => openRedisParty({ url: redis.url, project: "model" }, options);
  },
};

describe.each(Object.keys(places))("a topic on %s", (kind) => {
  it("is as its model, whatever is done to it", async () => {
    const open = await places[kind]?.();
    if (!open) return;
    let runs = 0;
    const plays = fc.commands(commands, { maxCommands: 60, size: "max" });
    const property = fc.asyncProperty(plays, async (play) => {
      const real = openReal(`model-${(runs += 1)}`, open);
      const model = newModel();
      try {
        const { topics } = await real.party();
        for (const name of ["a", "b"] as const) {
          await topics.subscribe({ topic: real.topic, name });
          model.lines.set(name, emptyLines());
        }
        await fc.asyncModelRun(() => ({ model, real }), play);
        // What still waits comes as well, and nothing more.
        for (const name of names)
          if (model.lines.has(name))
            await consume(real, model, [await real.party()], name, { isEnough: () => false });
      } finally {
        await real.reopen();
      }
    });
    await fc.assert(property, {
      seed,
      numRuns,
      endOnFailure: process.env["SLUICE_SHRINK"] === undefined,
    });
  }, 600_000);
});
