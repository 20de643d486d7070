import { fork } from "node:child_process";
import { once } from "node:events";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { openLoad } from "../queue/load.ts";
import { openPlace, openTopics } from "./place.ts";

const yieldEvents = 1_000;
const topic = "articles";

/** Until the engine has the memory that publishing takes, however little waits. */
const warmYields = 50;

type Kind = "embedded" | "redis";

interface Backlog {
  readonly measuredEvents: number;
  readonly rssMbPerMillion: number;
  readonly placeMbPerMillion: number;
}

/**
 * What `events` that wait for one subscription cost, scaled to a million: of a process, and of the place. In a
 * process of its own: one that measured before has memory to spare.
 */
export async function measureBacklog(kind: Kind, events: number): Promise<Backlog> {
  const child = fork(import.meta.filename, [kind, String(events)]);
  const ended = once(child, "exit").then(([code]) => {
    throw new Error(`the process that measures ended with ${code}`);
  });
  const [measured] = await Promise.race([once(child, "message"), ended]);
  ended.catch(() => {});
  return measured as Backlog; // nothing else is sent
}

async function measure(kind: Kind, events: number): Promise<Backlog> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void; // V8's, as the flag provides it
  const { place, bytes, remove } = await openPlace(kind);
  const backend = await openTopics(place, Infinity);
  const { signal } = new AbortController();
  const load = openLoad(1);
  const publish = () => backend.topics.publish(topic, load.next(yieldEvents), { signal });
  try {
    await backend.topics.subscribe({ topic, name: "search" });
    for (let warm = 0; warm < warmYields; warm++) await publish();
    collect();
    const before = { rss: process.memoryUsage().rss, place: await bytes(), made: load.made() };
    while (load.made() - before.made < events) await publish();
    collect();
    const measuredEvents = load.made() - before.made;
    const perMillion = (grown: number) => Math.round(grown / measuredEvents);
    return {
      measuredEvents,
      rssMbPerMillion: perMillion(process.memoryUsage().rss - before.rss),
      placeMbPerMillion: perMillion((await bytes()) - before.place),
    };
  } finally {
    await backend.close(2_000);
    await remove();
  }
}

if (import.meta.filename === process.argv[1] && process.send) {
  const [, , kind, events] = process.argv;
  process.send(await measure(kind as Kind, Number(events)));
  process.disconnect();
}
