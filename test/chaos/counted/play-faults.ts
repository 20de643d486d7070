import { setTimeout as sleep } from "node:timers/promises";
import type { Ground } from "./ground.ts";
import { hitRedis } from "./hit-redis.ts";
import type { CountedProcess } from "./processes.ts";
import type { Fault } from "./schedule.ts";
import type { World } from "./world.ts";

/** What happened to a process that read the origin, and how long it took until another one read it. */
export interface TakeOver {
  readonly after: "kill" | "term" | "stop";
  readonly ms: number;
  /** Something else was wrong meanwhile. */
  readonly isDisturbed: boolean;
}

export interface Stage {
  readonly world: World;
  readonly ground: Ground;
  /** Those that are to run, and run. */
  readonly processes: () => readonly CountedProcess[];
  /** Replaces one that has ended. */
  readonly replace: (gone: CountedProcess) => void;
  readonly told: (text: string) => void;
}

export interface Played {
  readonly takeOvers: readonly TakeOver[];
  readonly never: readonly string[];
  /** How often one was stopped that held what all need (`Ground.isHeld`): they all wait for it then. */
  readonly held: number;
}

const takenWithinMs = 60_000;

/** Plays the faults at their times and resolves when the last is over, and each process that was hit is replaced. */
export async function playFaults(faults: readonly Fault[], stage: Stage): Promise<Played> {
  const began = performance.now();
  const takeOvers: TakeOver[] = [];
  const never: string[] = [];
  let held = 0;
  const lasting: Promise<unknown>[] = [];
  const takenBy = (fault: Fault): Taken => {
    const isDisturbed = faults.some((one) => one !== fault && isNear(one, fault));
    return (after, ms) => {
      if (ms === "held") held += 1;
      else if (ms === undefined) never.push(`nobody took over after ${after} at ${fault.atMs} ms`);
      else takeOvers.push({ after, ms, isDisturbed });
    };
  };
  const turns: Hit["turns"] = { redis: Promise.resolve() };
  const leaving = new Set<CountedProcess>();
  for (const fault of faults) {
    await sleep(Math.max(0, began + fault.atMs - performance.now()));
    stage.told(`${fault.kind} for ${fault.forMs} ms`);
    lasting.push(play(fault, stage, { turns, leaving, taken: takenBy(fault) }));
  }
  await Promise.all(lasting);
  return { takeOvers, never, held };
}

/** Within the time that a take-over may take. */
function isNear(one: Fault, fault: Fault): boolean {
  return one.atMs < fault.atMs + 15_000 && one.atMs + one.forMs + 3_000 > fault.atMs;
}

type Taken = (after: TakeOver["after"], ms: number | undefined | "held") => void;

async function play(fault: Fault, stage: Stage, hit: Hit): Promise<void> {
  const { world, ground } = stage;
  const { kind, forMs } = fault;
  if (kind === "kill" || kind === "term" || kind === "stop")
    return await hitProcess(kind, fault, stage, hit);
  if (kind === "throttle" || kind === "stall") {
    world.mood(kind);
    await sleep(forMs);
    return world.mood("well");
  }
  const turn = hit.turns.redis.then(() => hitRedis(kind, fault, ground, world.wentBack));
  hit.turns.redis = turn.catch(() => {}); // told below; the next one has its turn
  await turn;
}

/** What goes on at a time: faults of Redis take turns, and nobody is hit twice. */
interface Hit {
  readonly turns: { redis: Promise<unknown> };
  readonly leaving: Set<CountedProcess>;
  readonly taken: Taken;
}

async function hitProcess(
  kind: "kill" | "term" | "stop",
  { forMs, which }: Fault,
  { world, ground, processes, replace, told }: Stage,
  { leaving, taken }: Hit,
): Promise<void> {
  const all = processes().filter((one) => !leaving.has(one));
  const reading = all.find(({ pid }) => pid === world.reader());
  const victim = which % 2 === 0 && reading ? reading : all[which % all.length];
  if (!victim) return;
  told(`${kind} of ${victim.pid}${victim === reading ? ", which reads" : ""}`);
  leaving.add(victim);
  const at = performance.now();
  victim.signal(({ kill: "SIGKILL", term: "SIGTERM", stop: "SIGSTOP" } as const)[kind]);
  const patienceMs = kind === "stop" ? forMs : takenWithinMs;
  const overtaken = victim === reading ? takenOver(world, victim.pid, at, patienceMs) : undefined;
  let isHeld = false;
  if (kind === "stop") {
    const over = sleep(forMs);
    isHeld = await ground.isHeld();
    await over;
    victim.signal("SIGCONT");
  } else {
    await victim.exited;
    await sleep(forMs);
    replace(victim);
  }
  leaving.delete(victim);
  if (!overtaken) return;
  const ms = await overtaken;
  if (isHeld) return taken(kind, "held");
  // Continued within its lease it goes on reading itself.
  if (ms !== undefined || kind !== "stop" || forMs > 15_000) taken(kind, ms);
}

/** Until another process begins to read. */
async function takenOver(
  world: World,
  pid: number,
  at: number,
  patienceMs: number,
): Promise<number | undefined> {
  for (const deadline = at + patienceMs; performance.now() < deadline; await sleep(10)) {
    const next = world.begins.find((one) => one.at > at && one.pid !== pid);
    if (next) return Math.round(next.at - at);
  }
  return undefined;
}
