import assert from "node:assert/strict";
import { AsyncLocalStorage, createHook } from "node:async_hooks";
import { getEventListeners } from "node:events";
import { readdirSync, readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const patienceMs = 1_500;
const times = 3;

/**
 * Does something several times and fails when something is left of each: timers, sockets, servers, watchers, threads,
 * child processes, whether they would keep the process alive or not; open files; listeners on the process and on the
 * signal that all were given. The first time does not count: it may open what is shared. What `before` opens each time is not looked at.
 */
export async function leavesNothing<T = void>(
  once: (signal: AbortSignal, made: T) => Promise<void>,
  before: () => Promise<T> = async () => undefined as T,
): Promise<void> {
  const { signal } = new AbortController();
  const made = resources();
  let forgotten = 0;
  const hear = ({ message }: Error) => {
    if (/^Closing file descriptor \d+ on garbage/.test(message)) forgotten += 1;
  };
  try {
    await once(signal, await before());
    const aliveBefore = await alive();
    const filesBefore = openFiles();
    const listeners = await listenersOn(signal);
    const onProcess = listenersOnProcess();
    process.on("warning", hear);
    for (let time = 0; time < times; time += 1) {
      const given = await before();
      await made.during(() => once(signal, given));
    }
    // Each look has fewer of those that belong to others, who open and close theirs meanwhile.
    let files = [...openFiles()].filter((file) => !filesBefore.has(file));
    const end = performance.now() + patienceMs;
    for (;;) {
      const now = await alive();
      // One more may be a connection that a pool keeps: only what each time adds is left behind.
      const more = [...now].map(
        ([kind, count]) => [kind, count - (aliveBefore.get(kind) ?? 0)] as const,
      );
      const told = more.flatMap(([kind, count]) => (count >= times ? [`${count} ${kind}`] : []));
      if (told.length === 0) {
        // What nobody holds any more goes with the next collection.
        await collected();
        const stillOpen = openFiles();
        files = files.filter((file) => stillOpen.has(file));
        if (files.length >= times) told.push(`${files.length} open files: ${files.join(", ")}`);
        if (forgotten >= times) told.push(`${forgotten} files for a collection to close`);
        for (const [kind, count] of made.left())
          if (count >= times) told.push(`${count} ${kind} that keep nothing alive`);
        const added = (await listenersOn(signal)) - listeners;
        if (added >= times) told.push(`${added} listeners on the signal`);
        for (const [event, count] of listenersOnProcess()) {
          const more = count - (onProcess.get(event) ?? 0);
          if (more >= times) told.push(`${more} listeners for "${event}" on the process`);
        }
      }
      if (told.length === 0) return;
      assert.ok(performance.now() < end, `left behind: ${told.join("; ")}`);
      await sleep(100);
    }
  } finally {
    process.off("warning", hear);
    made.end();
  }
}

/** What holds something of the system, as async_hooks calls it. */
const holds =
  /^(Timeout|Immediate|TCPWRAP|TCPSERVERWRAP|PIPEWRAP|PIPESERVERWRAP|UDPWRAP|PROCESSWRAP|FSEVENTWRAP|STATWATCHER|FILEHANDLE|WORKER|MESSAGEPORT)$/i;

/** The timer of an `AbortSignal.timeout`. It ends by itself; from Node 22 on it may be held until then. */
function isOfSignal(kind: string): boolean {
  return kind === "Timeout" && /node:internal\/abort_controller/.test(new Error().stack ?? "");
}

/** Watches what is made in some calls, and by what they started, and is not destroyed. */
function resources() {
  const within = new AsyncLocalStorage<true>();
  const kinds = new Map<number, string>();
  const hook = createHook({
    init: (id, kind) => {
      if (holds.test(kind) && within.getStore() && !isOfSignal(kind)) kinds.set(id, kind);
    },
    destroy: (id) => void kinds.delete(id),
  }).enable();
  return {
    during: (call: () => Promise<void>) => within.run(true, call),
    left: () => countsOf(kinds.values()),
    end: () => void hook.disable(),
  };
}

/** Descriptors of files, and what they are of. Where the system does not tell, none. */
function openFiles(): ReadonlySet<string> {
  const folder = "/proc/self/fd";
  const found = new Set<string>();
  try {
    for (const name of readdirSync(folder))
      try {
        const of = readlinkSync(`${folder}/${name}`);
        if (of.startsWith("/") && !of.startsWith("/proc/")) found.add(`${of} (${name})`);
      } catch {
        // Closed since.
      }
  } catch {
    // No such system.
  }
  return found;
}

/** Listeners for its abort. Those that a collection takes do not count. */
export async function listenersOn(signal: AbortSignal): Promise<number> {
  if (getEventListeners(signal, "abort").length > 0) await collected();
  return getEventListeners(signal, "abort").length;
}

function listenersOnProcess(): ReadonlyMap<string, number> {
  const events = process.eventNames();
  return new Map(events.map((event) => [String(event), process.listenerCount(event)]));
}

async function alive(): Promise<ReadonlyMap<string, number>> {
  await sleep(20);
  return countsOf(process.getActiveResourcesInfo());
}

function countsOf(kinds: Iterable<string>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const kind of kinds) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

let collect: (() => void) | undefined;

/** Has garbage collected, and what follows from that done. */
async function collected(): Promise<void> {
  if (!collect) {
    setFlagsFromString("--expose-gc");
    collect = runInNewContext("gc") as () => void; // V8's, as the flag provides it
  }
  collect();
  await sleep(20);
}

/** Bytes that this process holds and would not give back. */
export async function heldBytes(): Promise<number> {
  let least = Infinity;
  // What was let go is given back bit by bit, by threads of their own.
  for (let idle = 0, looks = 0; idle < 3 && looks < 30; looks += 1) {
    await collected();
    const { heapUsed, external } = process.memoryUsage();
    idle = heapUsed + external < least - 100_000 ? 0 : idle + 1;
    least = Math.min(least, heapUsed + external);
  }
  return least;
}
