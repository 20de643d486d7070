import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Backend } from "../backend.ts";
import type { Log } from "../connector.ts";
import { SluiceError } from "../errors.ts";
import { defaultLeaseMs } from "../queue/options.ts";
import type { Lease } from "../state/state.ts";
import { listProcesses, type ProcessEntry } from "./processes.ts";
import { wishFor } from "./wishes.ts";

const pollMs = 250;
/** What a process that died just now holds runs out by then. */
const patienceMs = defaultLeaseMs + 2_000;

/**
 * Makes sure that nobody runs a connector, and keeps its source lease so that nobody begins to: release
 * it when done. Waits for what a dead process still holds; throws `SluiceError` `connector.running`,
 * saying where it runs, when a live one does.
 */
export async function holdIdle(name: string, backend: Backend, log: Log): Promise<Lease> {
  const { state, topics } = backend;
  const isStopped = (await wishFor(name, state))?.wanted === "stopped"; // its processes let go of it
  const running = await havingIt(name, backend);
  if (running.length > 0 && !isStopped)
    throw stillRunning(
      name,
      running.map(({ host, pid }) => `pid ${pid} on ${host}`),
    );
  const deadline = performance.now() + patienceMs;
  for (let looks = 0; ; looks++) {
    const subscriptions = await topics.subscriptions();
    const consumed = subscriptions.filter((one) => one.name === name && one.consumers > 0);
    if (consumed.length === 0) {
      const lease = await state.scope(name).leases.acquire("source", defaultLeaseMs);
      if (lease) return lease;
    }
    if (performance.now() > deadline) {
      const held = consumed.map(({ topic }) => `a consumer of ${topic}`);
      throw stillRunning(name, held.length > 0 ? held : ["a process that holds its lease"]);
    }
    if (looks === 0)
      log.warn({ name, patienceMs }, `${name}: waiting for what a process that died still holds`);
    await sleep(pollMs);
  }
}

/** True when a live process has the connector in its files, whether it runs or is stopped. */
export async function isHad(name: string, backend: Backend): Promise<boolean> {
  return (await havingIt(name, backend)).length > 0;
}

async function havingIt(name: string, { state }: Backend): Promise<readonly ProcessEntry[]> {
  const all = await listProcesses(state);
  return all.filter((one) => one.connectors.includes(name) && !hasDied(one));
}

/** Its entry stays for 15 s. Of another machine's processes nothing is known: they count as alive. */
function hasDied({ host, pid }: ProcessEntry): boolean {
  if (host !== hostname()) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

function stillRunning(name: string, where: readonly string[]): SluiceError {
  return new SluiceError(`${name}: it is run by ${where.join(", ")}.`, {
    code: "connector.running",
    fix: `Stop it first: sluice stop ${name}`,
  });
}
