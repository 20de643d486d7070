import type { SinkConnector, TransformConnector } from "../config/pipeline.ts";
import type { Log } from "../connector.ts";
import { pause } from "../queue/assign.ts";
import type { Topics } from "../queue/queue.ts";

type Consumer = Pick<SinkConnector | TransformConnector, "name" | "whenFull">;

const lookEveryMs = 1_000;

/** Subscribes a connector to a topic, as its config says. */
export async function subscribe(
  { name, whenFull }: Consumer,
  topic: string,
  topics: Pick<Topics, "subscribe">,
): Promise<"new" | "known"> {
  return await topics.subscribe({ topic, name, ...(whenFull && { whenFull }) });
}

/**
 * Subscribes a connector again that was detached because it was full (Invariant 13), once it has room: nothing in its
 * hands, and not paused. What it missed comes as a catch-up. Looks once a second, until abort.
 */
export async function staySubscribed(
  consumer: Consumer,
  topic: string,
  run: {
    readonly topics: Pick<Topics, "subscribe" | "subscribers">;
    readonly isIdle: () => boolean;
    readonly gate: (signal: AbortSignal) => Promise<void>;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { topics, isIdle, gate, log, signal } = run;
  while (!signal.aborted) {
    await pause(lookEveryMs, signal);
    try {
      await gate(signal);
      if (!isIdle()) continue;
      const all = await topics.subscribers(topic);
      if (signal.aborted || all.some(({ name }) => name === consumer.name)) continue;
      await subscribe(consumer, topic, topics);
      log.warn(
        { topic },
        "had been detached because it was full: subscribed again, to be brought up to date",
      );
    } catch (error) {
      if (!signal.aborted) log.debug({ topic, error }, "subscription not looked after");
    }
  }
}
