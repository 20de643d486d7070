import { randomUUID } from "node:crypto";
import type { Log } from "../../connector.ts";
import type { SluiceEvent } from "../../event.ts";
import { toRedisError } from "../../state/redis/connect.ts";
import type { RedisClient } from "../../state/redis/client.ts";
import { listenAgainMs } from "../tap.ts";
import type { Topics } from "../queue.ts";
import { keyRoot } from "./names.ts";
import type { Registry } from "./registry.ts";

/** Events that one who taps may be behind. */
const capacity = 1_000;

/** Through a script, a cluster's client sends all copies of a topic to one server, which keeps their order. */
const publishScript = "return redis.call('PUBLISH', KEYS[1], ARGV[1])";

export interface Taps {
  /** After the events are durable; best effort, so it is not waited for. */
  readonly copy: (topic: string, events: readonly SluiceEvent[]) => void;
  readonly read: Topics["tap"];
}

/** Copies go over a channel a topic, and only while the topic's record says that somebody listens. */
export function openTaps(options: {
  readonly client: RedisClient;
  readonly project: string;
  readonly registry: Registry;
  readonly log: Log;
}): Taps {
  const { client, project, registry, log } = options;
  const channelOf = (topic: string) => `${keyRoot(project)}:tap:${topic}`;

  return {
    copy: (topic, events) => {
      client
        .eval(publishScript, 1, channelOf(topic), JSON.stringify(events))
        .catch((error: unknown) => log.debug({ topic, error }, "not copied to those who tap"));
    },
    read: async (topic, { signal, missed }) => {
      signal.throwIfAborted();
      const id = randomUUID();
      const waiting: SluiceEvent[] = [];
      let resume = (): void => {};
      const listener = client.duplicate();
      listener.on("error", () => {}); // it connects again; whether Redis is away is told by `client`
      listener.on("message", (_channel: string, message: string) => {
        const events = JSON.parse(message) as SluiceEvent[];
        const room = Math.max(0, capacity - waiting.length);
        waiting.push(...events.slice(0, room));
        if (events.length > room) missed?.(events.length - room);
        resume();
      });
      let again: NodeJS.Timeout | undefined;
      const end = () => {
        clearInterval(again);
        listener.disconnect();
        registry.unlisten(topic, id).catch(() => {}); // it expires
        resume();
      };
      signal.addEventListener("abort", end, { once: true });
      try {
        await listener.subscribe(channelOf(topic));
        await registry.listen(topic, id);
      } catch (error) {
        signal.removeEventListener("abort", end);
        end();
        signal.throwIfAborted();
        throw toRedisError(error);
      }
      const listen = () => registry.listen(topic, id).catch(() => {}); // away: the next one succeeds
      again = setInterval(() => void listen(), listenAgainMs).unref();
      if (signal.aborted) end();

      async function* copies(): AsyncGenerator<SluiceEvent, void, undefined> {
        try {
          while (!signal.aborted) {
            const next = waiting.shift();
            if (next) yield next;
            else await new Promise<void>((resolve) => (resume = resolve));
          }
        } finally {
          if (!signal.aborted) {
            signal.removeEventListener("abort", end);
            end();
          }
        }
      }
      return copies();
    },
  };
}
