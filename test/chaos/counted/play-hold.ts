import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { openBackend } from "../../../core/backend.ts";
import type { Place } from "../../../core/config/pipeline.ts";
import type { CountedOrder } from "./messages.ts";
import { startCounted, type CountedProcess, type Said } from "./processes.ts";
import { openWorld } from "./world.ts";

export interface HoldResult {
  readonly ok: boolean;
  readonly seed: number;
  /** Megabytes: once the backlog is at its bound, at most and at the end of the hold. */
  readonly rssMb: { readonly atBound: number; readonly most: number; readonly atEnd: number };
  /** Events waiting: at most, and what may. */
  readonly backlog: { readonly most: number; readonly bound: number };
  /** Events that the source still published in the second half of the hold. */
  readonly publishedWhileFull: number;
  readonly published: number;
  readonly lost: number;
  readonly wrong: readonly string[];
}

const most = 200;
const partitions = 4;
const maxWaiting = 20;
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Invariant 9: a sink that does nothing under a source at full speed, for `minutes`; then everything must arrive. */
export async function playHold(options: {
  readonly seed: number;
  readonly minutes: number;
  readonly place: Place;
  readonly log?: Said;
  readonly told?: (text: string) => void;
}): Promise<HoldResult> {
  const { seed, minutes, place, log, told = () => {} } = options;
  const world = openWorld(seed, Infinity);
  const order: CountedOrder = {
    seed,
    project: `held-${seed}`,
    place,
    partitions,
    maxWaiting,
    most,
    forgets: true,
  };
  world.mood("hold");
  const one = startCounted(order, world, log);
  const backend = await openBackend(
    {
      project: order.project,
      queue: place,
      state: place,
      topics: { counted: { partitions, optional: false, maxWaiting } },
      connectors: [],
    },
    { log: silent },
  );
  const wrong: string[] = [];
  try {
    const sizes: { readonly at: number; readonly mb: number; readonly published: number }[] = [];
    const began = performance.now();
    const forMs = minutes * 60_000;
    let backlog = 0;
    while (performance.now() - began < forMs) {
      await sleep(1_000);
      const all = await backend.topics.subscriptions("counted");
      backlog = Math.max(backlog, ...all.map(({ waiting }) => waiting));
      sizes.push({ at: performance.now() - began, mb: rssOf(one), published: world.asked() });
      told(`${sizes.at(-1)?.mb} MB, ${all[0]?.waiting} waiting, ${world.asked()} published`);
    }
    const [early, late] = [sizes.find(({ at }) => at > forMs / 3), sizes.at(-1)];
    const half = sizes.find(({ at }) => at > forMs / 2);
    const rssMb = {
      atBound: early?.mb ?? 0,
      most: Math.max(...sizes.map(({ mb }) => mb)),
      atEnd: late?.mb ?? 0,
    };
    // One yield more than may wait, and what each partition has in its hands.
    const bound = (maxWaiting + 1) * most * partitions + most;
    const publishedWhileFull = (late?.published ?? 0) - (half?.published ?? 0);
    if (rssMb.atEnd > rssMb.atBound * 1.15 + 5)
      wrong.push("memory grew while the sink stood still");
    if (backlog > bound) wrong.push(`${backlog} waited, ${bound} may`);
    if (publishedWhileFull > 0) wrong.push("the source went on");
    world.mood("well");
    const end = world.end();
    const deadline = performance.now() + 120_000;
    while (world.ledger.missing(end) > 0 && performance.now() < deadline) await sleep(200);
    const lost = world.ledger.missing(end);
    wrong.push(...world.faults);
    const ok = lost === 0 && wrong.length === 0;
    const counts = { backlog: { most: backlog, bound }, publishedWhileFull, published: end };
    return { ok, seed, rssMb, ...counts, lost, wrong };
  } finally {
    await backend.close(1_000);
    await one.stop(5_000);
    world.close();
  }
}

function rssOf({ pid }: CountedProcess): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024);
}
