import { setMaxListeners } from "node:events";
import { setImmediate as immediate, setTimeout as sleep } from "node:timers/promises";
import { checkEvents } from "../../check-event.ts";
import { checkDatabase, openDatabase } from "../../state/embedded/database.ts";
import { countConsumers, pause, sharePartitions } from "../assign.ts";
import { detachedMessage } from "../detach.ts";
import type { TopicsOptions } from "../options.ts";
import { partitionsChanged } from "../partitions-changed.ts";
import { openRefusals } from "../refusals.ts";
import type { Topics } from "../queue.ts";
import { groupAcknowledgements } from "./acknowledge.ts";
import { handOver } from "./hand-over.ts";
import { toJobs } from "./jobs.ts";
import { openLog } from "./log.ts";
import { openRegistry } from "./registry.ts";
import { openTaps } from "./tap.ts";
import { openWakeups } from "./wakeups.ts";

const pollMs = 500;

/**
 * Topics in `${dir}/sluice.db`, the file that embedded state uses too: an append log a topic and
 * partition, one cursor a subscription, trimmed when all have passed. Several processes of one
 * machine may share it.
 */
export function openEmbeddedTopics(options: TopicsOptions & { readonly dir: string }): Topics {
  const { project, settings, scope, leaseMs, writeTimeoutMs } = options;
  const database = openDatabase(options.dir);
  const registry = openRegistry(database, project);
  const taps = openTaps(database, project);
  const log = openLog(database, registry, taps);
  const { wait, wake, wakeAll } = openWakeups(database.version);
  const acknowledge = groupAcknowledgements(log.acknowledge);
  const closing = new AbortController();
  const consuming = new Set<Promise<void>>();
  const dropped = new Map<string, number>();
  const refusals = openRefusals();

  const room = (topic: string) => `room in ${topic}`;
  const tapsOf = (topic: string) => `taps of ${topic}`;
  const jobsIn = (topic: string, partition: number) => `jobs in ${topic}/${partition}`;

  const publish: Topics["publish"] = async (topic, events, { signal, fence }) => {
    const { partitions, maxWaiting, optional } = settings(topic);
    const checked = checkEvents(events);
    const jobs = toJobs(checked, partitions);
    if (jobs.length === 0) return;
    let limit = maxWaiting;
    for (let waits = 0; ; waits++) {
      signal.throwIfAborted();
      const outcome = log.append(topic, partitions, jobs, {
        limit,
        optional,
        events: checked,
        fence,
        detached: (subscription, count) =>
          options.log.error({ topic, subscription, events: count }, detachedMessage),
      });
      if (outcome === "done") break;
      if (outcome === "dropped") {
        drop(topic, events.length);
        wake(tapsOf(topic));
        return;
      }
      if (outcome === "full") limit = Math.floor(maxWaiting / 2) + 1; // Invariant 9
      else if (waits === 0)
        options.log.warn({ topic }, "topic has no subscription: its sources wait"); // Invariant 4
      await wait(room(topic), signal);
    }
    for (const partition of new Set(jobs.map((job) => job.partition)))
      wake(jobsIn(topic, partition));
    wake(tapsOf(topic));
    await immediate(); // a source that never waits must not starve its process
  };

  const drop = (topic: string, events: number) => {
    const before = dropped.get(topic) ?? 0;
    dropped.set(topic, before + events);
    if (before === 0)
      options.log.warn({ topic }, "optional topic has no subscription: its events are dropped");
  };

  /** Until a topic has another number of partitions than `count`, which is answered, or an abort. */
  const repartitioned = async (topic: string, count: number, signal: AbortSignal) => {
    while (!signal.aborted) {
      await pause(pollMs, signal);
      try {
        const now = registry.partitionsOf(topic);
        if (now !== undefined && now !== count) return now;
      } catch (error) {
        options.log.debug({ topic, error }, "registry does not answer");
      }
    }
    return undefined;
  };

  const consume: Topics["consume"] = async (topic, name, handle, run) => {
    const { partitions } = settings(topic);
    const id = log.enter(topic, partitions);
    const over = new AbortController();
    const signal = AbortSignal.any([run.signal, closing.signal, over.signal]);
    setMaxListeners(0, signal); // one a partition
    let now: number | undefined;
    const watch = async () => {
      now = await repartitioned(topic, partitions, signal);
      over.abort();
    };
    void watch();
    await sharePartitions({
      scope: scope(name),
      topic,
      partitions,
      leaseMs,
      refusals,
      log: options.log,
      signal,
      work: (partition, tenure) =>
        handOver(
          {
            place: { topic: id, partition, name, token: tenure.lease.token },
            handle,
            writeTimeoutMs,
            take: log.take,
            hold: log.hold,
            acknowledge,
            wait: () => wait(jobsIn(topic, partition), tenure.signal),
            acknowledged: () => wake(room(topic)),
            failed: (error) => {
              if (refusals.note(tenure, error)) return;
              options.log.error({ topic, name, partition, error }, "batch failed, is repeated");
            },
            waited: () => refusals.forget(tenure),
          },
          tenure,
        ),
    });
    if (now !== undefined) throw partitionsChanged(topic, now, partitions);
  };

  const topics: Topics = {
    durability: async () => "disk",
    probe: async () => {
      refusals.check();
      database.version();
    },
    check: async () => [checkDatabase(database)],
    publish,
    session: async () => ({ topics, over: new AbortController().signal }), // the disk keeps what it has
    settled: async () => {},
    subscribe: async (subscription) => {
      const { topic } = subscription;
      const outcome = registry.subscribe(subscription, settings(topic).partitions);
      wake(room(topic));
      return outcome;
    },
    unsubscribe: async (topic, name) => {
      registry.unsubscribe(topic, name);
      wakeAll();
    },
    subscriptions: async (topic) => {
      const now = Date.now();
      const gone = registry.detached().map((one) => ({ ...one, waiting: 0, oldestAt: null }));
      const all = [...registry.waiting(), ...gone].filter(
        (status) => topic === undefined || status.topic === topic,
      );
      return Promise.all(
        all.map(async ({ oldestAt, ...status }) => ({
          ...status,
          oldestMs: oldestAt === null ? 0 : Math.max(0, now - oldestAt),
          consumers: await countConsumers(scope(status.name), status.topic),
        })),
      );
    },
    subscribers: async (topic) => registry.subscribers(topic),
    consume: (...request) => {
      const consumed = consume(...request);
      const ended = consumed.catch(() => {}); // the caller gets the error
      consuming.add(ended);
      void ended.finally(() => consuming.delete(ended));
      return consumed;
    },
    peek: async (topic, name, skip = 0) => log.peek(topic, name, skip),
    tap: async (topic, { signal, missed }) => {
      const either = AbortSignal.any([signal, closing.signal]);
      return taps.read(topic, { signal: either, missed, wait: () => wait(tapsOf(topic), either) });
    },
    erase: async (records) => log.erase(project, records),
    close: async (graceMs) => {
      closing.abort();
      await Promise.race([Promise.all(consuming), sleep(graceMs, undefined, { ref: false })]);
      database.close();
      wakeAll();
      for (const [topic, events] of dropped)
        options.log.info({ topic, events }, "events dropped: nobody had subscribed");
      dropped.clear();
    },
  };
  return topics;
}
