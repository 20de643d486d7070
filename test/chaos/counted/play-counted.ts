import { setTimeout as sleep } from "node:timers/promises";
import { openBackend } from "../../../core/backend.ts";
import type { Pipeline } from "../../../core/config/pipeline.ts";
import type { Ground } from "./ground.ts";
import type { Tally } from "./ledger.ts";
import type { CountedOrder } from "./messages.ts";
import { numberOf } from "./origin.ts";
import { playFaults, type TakeOver } from "./play-faults.ts";
import { startCounted, type CountedProcess, type Said } from "./processes.ts";
import { scheduleOf, type Fault, type FaultKind } from "./schedule.ts";
import { openWorld } from "./world.ts";

export interface CountedResult extends Tally {
  readonly ok: boolean;
  readonly seed: number;
  readonly faults: readonly Fault[];
  readonly takeOvers: readonly TakeOver[];
  readonly held: number;
  /** What must not be, beside what is counted. */
  readonly wrong: readonly string[];
  /** From the end of the last fault until everything was handled. */
  readonly settledMs: number;
}

const settleWithinMs = 120_000;
const lettersWithinMs = 20_000;
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/**
 * Several processes over one pipeline, whose origin counts and forgets what was confirmed; faults at random, the same
 * for the same seed; at the end everything that was published must be handled, in order, or a dead letter.
 */
export async function playCounted(options: {
  readonly seed: number;
  readonly kinds: readonly FaultKind[];
  readonly minutes: number;
  readonly processes: number;
  readonly perSecond: number;
  readonly ground: Ground;
  readonly log?: Said;
  readonly told?: (text: string) => void;
}): Promise<CountedResult> {
  const { seed, kinds, minutes, perSecond, ground, log, told = () => {} } = options;
  const faults = scheduleOf(seed, kinds, minutes);
  const { place } = ground;
  const order: CountedOrder = {
    seed,
    project: `counted-${seed}`,
    place,
    partitions: 4,
    maxWaiting: 100,
    most: 200,
    forgets: true,
  };
  const world = openWorld(seed, perSecond);
  const running = new Set<CountedProcess>();
  const start = () => void running.add(startCounted(order, world, log));
  for (let count = 0; count < options.processes; count++) start();
  const began = performance.now();
  const wrong: string[] = [];
  try {
    const { takeOvers, never, held } = await playFaults(faults, {
      world,
      ground,
      processes: () => [...running].filter((one) => one.isRunning()),
      replace: (gone) => {
        running.delete(gone);
        start();
      },
      told,
    });
    await sleep(Math.max(0, began + minutes * 60_000 - performance.now()));
    const end = world.end();
    const settledMs = await settled(world, end);
    if (settledMs === undefined)
      wrong.push(
        `not settled: ${world.ledger.missing(end)} of ${end} are missing, ${world.confirmed()} are confirmed`,
      );
    for (const one of running) if (!one.isRunning()) wrong.push(`${one.pid} ended by itself`);
    const tally = await tallied(() => lettersOf(order).then((one) => world.ledger.tally(end, one)));
    wrong.push(...never, ...world.faults);
    const isExact = [
      tally.lost,
      tally.orderViolations,
      tally.wrongLetters,
      tally.wrongAtEnd,
      wrong,
    ];
    const ok = isExact.every((list) => list.length === 0);
    return {
      ok,
      seed,
      faults,
      takeOvers,
      held,
      ...tally,
      wrong,
      settledMs: settledMs ?? settleWithinMs,
    };
  } finally {
    for (const one of running) one.signal("SIGCONT");
    await Promise.all([...running].map((one) => one.stop(5_000)));
    world.close();
  }
}

type World = ReturnType<typeof openWorld>;

/** Until everything is handled and confirmed. */
async function settled(world: World, end: number): Promise<number | undefined> {
  const began = performance.now();
  while (world.ledger.missing(end) > 0 || world.confirmed() < end) {
    if (performance.now() - began > settleWithinMs) return undefined;
    await sleep(200);
  }
  return Math.round(performance.now() - began);
}

/** A letter may still be on its way when everything else is handled. */
async function tallied(read: () => Promise<Tally>): Promise<Tally> {
  for (const deadline = performance.now() + lettersWithinMs; ; await sleep(500)) {
    const tally = await read();
    if (tally.wrongLetters.length === 0 || performance.now() > deadline) return tally;
  }
}

/** The changes that are dead letters. */
async function lettersOf({ project, place }: CountedOrder): Promise<ReadonlySet<number>> {
  const pipeline: Pipeline = { project, queue: place, state: place, topics: {}, connectors: [] };
  const backend = await openBackend(pipeline, { log: silent });
  const numbers = new Set<number>();
  try {
    for await (const page of backend.deadLetters.list("target"))
      for (const { event } of page) numbers.add(numberOf(event));
  } finally {
    await backend.close(1_000);
  }
  return numbers;
}
