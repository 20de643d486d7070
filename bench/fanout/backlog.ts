import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { openLoad } from "../queue/load.ts";
import { openPlace, openTopics } from "./place.ts";

const yieldEvents = 1_000;
const topic = "articles";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** What `events` that wait for one subscription cost, scaled to a million: of this process, and of the place. */
export async function measureBacklog(
  kind: "embedded" | "redis",
  events: number,
): Promise<{
  readonly measuredEvents: number;
  readonly rssMbPerMillion: number;
  readonly placeMbPerMillion: number;
}> {
  const { place, bytes, remove } = await openPlace(kind);
  const backend = await openTopics(place, Infinity);
  const { signal } = new AbortController();
  const load = openLoad(1);
  const publish = () => backend.topics.publish(topic, load.next(yieldEvents), { signal });
  try {
    await backend.topics.subscribe({ topic, name: "search" });
    for (let warm = 0; warm < 10; warm++) await publish();
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
