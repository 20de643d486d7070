import type { Backend } from "../backend.ts";
import type { Pipeline } from "../config/pipeline.ts";
import { withoutUser } from "../config/show.ts";
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

/** The command that ends one, from any folder; what a URL says before its `@` is left to whoever runs it, and said to be. */
export function commandEnding(
  { topic, name }: Pick<SubscriptionStatus, "topic" | "name">,
  { project, queue }: Pick<Pipeline, "project" | "queue">,
): string {
  const place = queue.kind === "redis" ? withoutUser(queue.url) : `embedded:${queue.dir}`;
  const words = ["sluice subscriptions remove", name, "--topic", topic, "--project", project];
  const isMasked = queue.kind === "redis" && place !== queue.url;
  const hint = isMasked ? " (write the user and password of the URL for ***)" : "";
  return [...words, "--queue", quoted(place)].join(" ") + hint;
}

/** For a shell. */
function quoted(word: string): string {
  return /^[\w@%+:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
