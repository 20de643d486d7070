import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const patienceMs = 3_000;

/**
 * Does something several times and fails when timers, sockets, watchers or threads that would keep the
 * process alive are left afterwards. Only what each time adds counts: the first may open what is shared.
 */
export async function leavesNothing(once: () => Promise<void>): Promise<void> {
  await once();
  const before = await alive();
  for (let times = 0; times < 3; times += 1) await once();
  const end = performance.now() + patienceMs;
  for (;;) {
    const left = [...(await alive())].filter(([kind, count]) => count > (before.get(kind) ?? 0));
    if (left.length === 0) return;
    const told = left.map(([kind, count]) => `${count - (before.get(kind) ?? 0)} ${kind}`);
    assert.ok(performance.now() < end, `left behind: ${told.join(", ")}`);
  }
}

async function alive(): Promise<ReadonlyMap<string, number>> {
  await sleep(20);
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo())
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

/** Bytes that this process holds and would not give back. */
export async function heldBytes(): Promise<number> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void; // V8's, as the flag provides it
  let least = Infinity;
  // What was let go is given back bit by bit, by threads of their own.
  for (let idle = 0, times = 0; idle < 3 && times < 30; times += 1) {
    collect();
    await sleep(20);
    const { heapUsed, external } = process.memoryUsage();
    idle = heapUsed + external < least - 100_000 ? 0 : idle + 1;
    least = Math.min(least, heapUsed + external);
  }
  return least;
}
