import { checkEvents } from "../../check-event.ts";
import type { SluiceEvent } from "../../event.ts";
import type { Fence } from "../../state/state.ts";
import { pause } from "../assign.ts";
import { addresseeOf } from "../audience.ts";
import type { TopicsOptions } from "../options.ts";
import { spread } from "../partition.ts";
import { insist, openAdder, type Adder } from "./add.ts";
import { detachedMessage } from "../detach.ts";
import type { Subscription } from "../queue.ts";
import type { QueuePlace } from "./names.ts";
import type { Partitions } from "./partitions.ts";
import { newJobs, type NewJob } from "./new-jobs.ts";
import type { PartitionQueue } from "./queues.ts";
import type { Refusals } from "../refusals.ts";
import type { Registry, TopicRecord } from "./registry.ts";
import type { Taps } from "./tap.ts";

const pollMs = 200;

export type Publish = (
  topic: string,
  events: readonly SluiceEvent[],
  run: { readonly signal: AbortSignal; readonly serverRun: string; readonly fence?: Fence },
) => Promise<void>;

export function openPublisher(
  options: Pick<TopicsOptions, "project" | "settings" | "log"> & {
    readonly registry: Registry;
    readonly queueOf: (place: QueuePlace) => Promise<PartitionQueue>;
    readonly partitions: Partitions;
    readonly taps: Taps;
    readonly refusals: Refusals;
  },
): Publish {
  const { project, settings, log, registry, queueOf, partitions, taps, refusals } = options;
  const adders = new Map<string, Promise<Adder>>();
  const dropped = new Set<string>();

  const adderOf = (place: QueuePlace): Promise<Adder> => {
    const { topic, name, generation, partition } = place;
    const key = JSON.stringify([topic, name, generation, partition]);
    const known = adders.get(key);
    if (known) return known;
    const opening = queueOf(place).then((queue) =>
      openAdder({ queue, maxWaiting: settings(topic).maxWaiting, refusals, log }),
    );
    adders.set(key, opening);
    opening.catch(() => adders.delete(key)); // whoever waits for it has the error
    return opening;
  };

  const drop = async (topic: string, events: number) => {
    if (!dropped.has(topic))
      log.warn({ topic }, "optional topic has no subscription: its events are dropped");
    dropped.add(topic);
    await registry.dropped(topic, events);
  };

  /** Invariant 13: it is full, and nobody is to wait for it. What waits is removed once its end is seen. */
  const detach = async (
    subscription: Subscription & { readonly generation: string },
    count: number,
    signal: AbortSignal,
  ) => {
    const { topic, name, generation } = subscription;
    const backlogs = await insist(
      () =>
        Promise.all(
          Array.from({ length: count }, async (_, partition) =>
            (await queueOf({ project, topic, name, generation, partition })).backlog(),
          ),
        ),
      { signal, refusals },
    );
    const events = backlogs.reduce((sum, one) => sum + one.events, 0);
    const at = new Date().toISOString();
    const isOurs = await insist(() => registry.detach(subscription, { at, events }), {
      signal,
      refusals,
    });
    if (isOurs) log.error({ topic, subscription: name, events }, detachedMessage);
  };

  /** A publish begins with what the last one read at its end: the read that counts comes after adding. */
  const lastRead = new Map<string, TopicRecord>();

  return async (topic, events, { signal, serverRun, fence }) => {
    const checked = checkEvents(events);
    if (checked.length === 0) return;
    const read = async () => {
      const record = await insist(() => registry.read(topic), { signal, refusals });
      lastRead.set(topic, record);
      return record;
    };
    let record = lastRead.get(topic) ?? (await read());
    for (let waits = 0; record.subscriptions.size === 0; waits++) {
      if (waits > 0) await pause(pollMs, signal);
      record = await read();
      if (record.subscriptions.size > 0) break;
      if (settings(topic).optional) {
        if (record.isTapped) taps.copy(topic, checked);
        return drop(topic, checked.length);
      }
      if (waits === 0) log.warn({ topic }, "topic has no subscription: its sources wait"); // Invariant 4
    }

    const count = await partitions(topic, record);
    const jobsFor = jobsOf(checked, count);
    const served = new Map<string, string>();
    for (;;) {
      const newcomers = [...record.subscriptions].filter(
        ([, generation]) => !served.has(generation),
      );
      // Invariant 3: read after adding, and nobody new: this is the moment of publication.
      if (newcomers.length === 0) break;
      await allEnded(
        newcomers.flatMap(([name, generation]) =>
          [...jobsFor(name)].map(async ([partition, jobs]) => {
            const place = { project, topic, name, generation, partition };
            const adder = await insist(() => adderOf(place), { signal, refusals });
            const mayWait = !record.detaching.has(name);
            const mine = { signal, mayWait, serverRun, ...(fence && { fence }) };
            const outcome = await adder.add(jobs, mine);
            if (outcome === "full") await detach({ topic, name, generation }, count, signal);
          }),
        ),
      );
      for (const [name, generation] of newcomers) served.set(generation, name);
      record = await read();
      await partitions(topic, record);
    }
    if (record.isTapped) taps.copy(topic, checked);
    for (const [generation, name] of served)
      if (record.subscriptions.get(name) !== generation) {
        // It ended while we added to it, so nobody else will remove that.
        for (let partition = 0; partition < count; partition++)
          await (await queueOf({ project, topic, name, generation, partition })).obliterate();
      }
  };
}

/** Fails where one failed, once all have ended: who publishes again, under another name, has nothing on its way before that. */
async function allEnded(works: readonly Promise<void>[]): Promise<void> {
  const outcomes = await Promise.allSettled(works);
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
}

/** The jobs of each partition for a subscription: everything but what names another one as its audience. */
function jobsOf(events: readonly SluiceEvent[], partitions: number) {
  const packed = (events: readonly SluiceEvent[]): ReadonlyMap<number, readonly NewJob[]> => {
    const jobs = new Map<number, readonly NewJob[]>();
    for (const [partition, share] of spread(events, partitions))
      jobs.set(partition, newJobs(share));
    return jobs;
  };
  if (events.some(({ audience }) => audience !== undefined))
    return (name: string) =>
      packed(events.filter((event) => (addresseeOf(event) ?? name) === name));
  const shared = packed(events);
  return () => shared;
}
