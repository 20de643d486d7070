import type { Backend } from "../backend.ts";
import type { Pipeline } from "../config/pipeline.ts";
import type { SubscriptionStatus } from "../queue/queue.ts";

/**
 * Subscriptions of a pipeline's topics that neither it nor any process consumes: they fill up, and then
 * hold back every source of their topic.
 */
export async function orphansOf(
  { connectors, topics }: Pick<Pipeline, "connectors" | "topics">,
  backend: Pick<Backend, "topics">,
): Promise<readonly SubscriptionStatus[]> {
  const names = new Set(connectors.map(({ name }) => name));
  const all = await backend.topics.subscriptions();
  return all.filter(
    ({ topic, name, consumers, detached }) =>
      topics[topic] && !names.has(name) && consumers === 0 && !detached,
  );
}
