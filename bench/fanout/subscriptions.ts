import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { openLoad } from "../queue/load.ts";
import { openPlace, openTopics } from "./place.ts";

const topic = "articles";
const yieldEvents = 1_000;
const warmUpYields = 20;

/** Events published a second, of which each of so many subscriptions has had every one. */
export async function measureSubscriptions(
  kind: "embedded" | "redis",
  subscriptions: number,
  seconds: number,
): Promise<{ readonly eventsPerSecond: number; readonly handledPerSecond: number }> {
  const { place, remove } = await openPlace(kind);
  const backend = await openTopics(place, 100);
  const stop = new AbortController();
  const { signal } = stop;
  setMaxListeners(0, signal); // each subscription waits on it
  const load = openLoad(subscriptions);
  let handled = 0;
  const names = Array.from({ length: subscriptions }, (_, at) => `search-${at}`);
  for (const name of names) await backend.topics.subscribe({ topic, name });
  const consuming = names.map((name) =>
    backend.topics.consume(
      topic,
      name,
      async (events) => {
        handled += events.length;
      },
      { signal },
    ),
  );
  const publish = () => backend.topics.publish(topic, load.next(yieldEvents), { signal });
  const drained = async () => {
    while (handled < load.made() * subscriptions) await sleep(1);
  };
  try {
    for (let at = 0; at < warmUpYields; at++) await publish();
    await drained();
    const before = load.made();
    const began = performance.now();
    while (performance.now() - began < seconds * 1_000) await publish();
    await drained();
    const eventsPerSecond = (load.made() - before) / ((performance.now() - began) / 1_000);
    return {
      eventsPerSecond: Math.round(eventsPerSecond),
      handledPerSecond: Math.round(eventsPerSecond * subscriptions),
    };
  } finally {
    stop.abort();
    await Promise.all(consuming);
    await backend.close(5_000);
    await remove();
  }
}
