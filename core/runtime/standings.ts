import type { Backend } from "../backend.ts";
import type { Subscription, SubscriptionStatus } from "../queue/queue.ts";
import { timeOfId } from "../timed-id.ts";
import { servedBy, type Served } from "./catch-up.ts";
import { listProducers, routesAmong, type Producer } from "./producers.ts";
import { pendingRequests } from "./requests.ts";

/**
 * What a subscription has of its topic (Invariant 3):
 *
 * - `live`: everything
 * - `catching-up`: what is published now, and soon what it missed
 * - `detached`: nothing since `since`: it was full
 * - `partial`: only what was published since `since` (RFC 3339; unknown where an older version registered it)
 */
export interface Standing {
  readonly state: "live" | "catching-up" | "detached" | "partial";
  readonly since?: string;
  /** Catching up: the sources it waits for. */
  readonly from?: readonly string[];
}

/** Every subscription, with its backlog and standing. */
export async function readSubscriptions(
  backend: Pick<Backend, "topics" | "state">,
): Promise<readonly (SubscriptionStatus & Standing)[]> {
  const all = await backend.topics.subscriptions();
  const standingOf = await readStandings(backend, all);
  return all.map((one) => ({
    ...one,
    ...(one.detached ? { state: "detached", since: one.detached.at } : standingOf(one)),
  }));
}

/** Tells the standing of subscriptions from what the producers of their topics keep of them. */
async function readStandings(
  { topics, state }: Pick<Backend, "topics" | "state">,
  subscriptions: readonly Subscription[],
): Promise<(subscription: Subscription) => Standing> {
  const wanted = [...new Set(subscriptions.map(({ topic }) => topic))];
  const all = await listProducers(state);
  const producers = await Promise.all(
    all
      .filter(({ topic }) => wanted.includes(topic))
      .map(async (one) => ({ ...one, served: await servedBy(state.scope(one.name).state) })),
  );
  const generations = new Map(
    await Promise.all(
      wanted.map(async (topic) => {
        const found = await topics.subscribers(topic);
        return [topic, new Map(found.map((one) => [one.name, one.generation]))] as const;
      }),
    ),
  );
  const marks = producers.flatMap(({ served }) => [...(served?.values() ?? [])]);
  const pending = await pendingAt(state, marks);

  return ({ topic, name }) => {
    const generation = generations.get(topic)?.get(name) ?? "";
    const behind = producers
      .filter((one) => one.topic === topic)
      .map((one) => missingAt(one, { name, generation }, { all, pending }));
    if (behind.includes("for ever")) {
      const since = timeOfId(generation);
      const at = since === undefined ? {} : { since: new Date(since).toISOString() };
      return { state: "partial", ...at };
    }
    const from = [...new Set(behind.flat())];
    return from.length > 0 ? { state: "catching-up", from } : { state: "live" };
  };
}

/** The sources whose snapshot is to bring a subscription what it has not had from a producer; none when it has all. */
function missingAt(
  producer: Producer & { readonly served: ReadonlyMap<string, Served> | undefined },
  { name, generation }: { readonly name: string; readonly generation: string },
  known: { readonly all: readonly Producer[]; readonly pending: ReadonlySet<string> },
): readonly string[] | "for ever" {
  if (producer.served === undefined) return []; // nothing was published yet
  const mark = producer.served.get(name);
  if (mark?.generation === generation)
    return mark.requests.filter((one) => known.pending.has(keyOf(one))).map(({ source }) => source);
  const routes = routesAmong(known.all, producer.name, name);
  return routes?.map(({ source }) => source) ?? "for ever";
}

/** Which of the marks' requests are not completed. */
async function pendingAt(
  state: Backend["state"],
  marks: readonly Served[],
): Promise<ReadonlySet<string>> {
  const sources = new Set(marks.flatMap(({ requests }) => requests.map(({ source }) => source)));
  const found = await Promise.all(
    [...sources].map(async (source) => {
      const requests = await pendingRequests(state.scope(source).state);
      return requests.map(({ id }) => keyOf({ source, id }));
    }),
  );
  return new Set(found.flat());
}

function keyOf({ source, id }: Served["requests"][number]): string {
  return `${source}\n${id}`;
}
