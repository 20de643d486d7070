import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { WriteRun } from "../../connector.ts";
import type { SluiceEvent } from "../../event.ts";
import type { StatePlace } from "../../state/state.ts";
import type { ChildBatch, ChildMessage, ChildOrder } from "../conformance-child.ts";
import type { Topics, TopicSettings } from "../queue.ts";
import { change, range } from "./events.ts";
import { recorder } from "./recorder.ts";
import { until } from "./until.ts";

/** One process, as the suite sees it. */
export interface Party {
  readonly topics: Topics;
  readonly state: StatePlace;
}

export interface PartyOptions extends TopicSettings {
  readonly leaseMs: number;
  readonly writeTimeoutMs: number;
}

/** A place under test. */
export interface Tested {
  readonly open: (options: PartyOptions) => Promise<Party>;
  readonly child: URL;
  readonly childArguments: () => readonly string[];
  /** Takes the place away from everybody for a moment: a restart, every connection cut, a file that is locked. */
  readonly interrupt: () => Promise<void>;
}

export const leaseMs = 600;

/** What a topic must keep, by name. */
export type Cases = readonly (readonly [name: string, run: (world: World) => Promise<void>])[];

export type World = ReturnType<typeof openWorld>;

/** A topic of its own, and everything that must end with the case. */
export function openWorld(backend: Tested, topic: string) {
  const parties: Party[] = [];
  const readers: { readonly stop: () => Promise<void> }[] = [];
  const children: ChildProcess[] = [];
  const ended = new AbortController();

  const optionsOf = (options: Partial<PartyOptions>): PartyOptions => ({
    partitions: 4,
    optional: false,
    maxWaiting: 100,
    leaseMs,
    writeTimeoutMs: 100,
    ...options,
  });

  const publish = (topics: Topics, events: readonly SluiceEvent[]) =>
    topics.publish(topic, events, { signal: ended.signal });

  return {
    topic,
    publish,
    open: async (options: Partial<PartyOptions> = {}): Promise<Party> => {
      const party = await backend.open(optionsOf(options));
      parties.push(party);
      return party;
    },
    status: async (topics: Topics, name: string) =>
      (await topics.subscriptions(topic)).find((status) => status.name === name),
    /** Everything is acknowledged by everybody: nothing is left behind. */
    drained: (topics: Topics) =>
      until(async () => {
        const all = await topics.subscriptions(topic);
        return (
          all.length > 0 && all.every(({ waiting, oldestMs }) => waiting === 0 && oldestMs === 0)
        );
      }),
    consume: (
      topics: Topics,
      name: string,
      handle: (events: readonly SluiceEvent[], run: WriteRun) => Promise<void> = async () => {},
    ) => {
      const stop = new AbortController();
      const record = recorder();
      let atOnce = 0;
      let mostAtOnce = 0;
      const done = topics.consume(
        topic,
        name,
        async (events, run) => {
          record.add({ events, redelivered: run.redelivered });
          mostAtOnce = Math.max(mostAtOnce, ++atOnce);
          try {
            await handle(events, run);
          } finally {
            atOnce--;
          }
        },
        { signal: stop.signal },
      );
      const reader = {
        ...record,
        done,
        get mostAtOnce() {
          return mostAtOnce;
        },
        stop: () => (stop.abort(), done),
      };
      readers.push(reader);
      return reader;
    },
    tap: async (topics: Topics, { isSlow = false } = {}) => {
      const stop = new AbortController();
      const gate = new AbortController();
      const record = recorder();
      let missed = 0;
      const copies = await topics.tap(topic, {
        signal: stop.signal,
        missed: (events) => (missed += events),
      });
      const done = (async () => {
        for await (const event of copies) {
          record.add({ events: [event], redelivered: false });
          if (isSlow && !gate.signal.aborted) await once(gate.signal, "abort");
        }
      })();
      const tap = {
        ...record,
        done,
        get missed() {
          return missed;
        },
        goOn: () => gate.abort(),
        stop: () => {
          gate.abort();
          stop.abort();
          return done;
        },
      };
      readers.push(tap);
      return tap;
    },
    child: (
      name: string,
      { does, ...options }: Partial<PartyOptions> & Pick<ChildOrder, "does">,
    ) => {
      const order: ChildOrder = { options: optionsOf(options), topic, name, does };
      const child = fork(backend.child, [...backend.childArguments(), JSON.stringify(order)]);
      const record = recorder();
      children.push(child);
      child.on("message", (batch) => record.add(batch as ChildBatch));
      return {
        ...record,
        process: child,
        tell: (message: ChildMessage) => child.send(message),
        exited: once(child, "exit"),
        received: (batches: number) => until(() => record.batches.length >= batches),
      };
    },
    /** Publishes changes of twenty keys, round after round; `stop` tells how many each key got. */
    traffic: (topics: Topics) => {
      const keys = range(1, 20).map((key) => `key-${key}`);
      let running = true;
      const rounds = (async () => {
        for (let n = 1; ; n++) {
          await publish(
            topics,
            keys.map((key) => change(key, n)),
          );
          if (!running) return n;
          await sleep(5); // a pace, not a wait
        }
      })();
      return {
        stop: async () => {
          running = false;
          const sent = await rounds;
          return Object.fromEntries(keys.map((key) => [key, sent]));
        },
      };
    },
    interrupt: backend.interrupt,
    end: async () => {
      ended.abort();
      for (const child of children) child.kill("SIGKILL");
      await Promise.all(readers.map(({ stop }) => stop()));
      for (const { topics, state } of parties) {
        await topics.close(1_000);
        await state.close();
      }
    },
  };
}
