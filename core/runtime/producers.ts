import type { SourceConnector } from "../config/pipeline.ts";
import type { Json } from "../event.ts";
import type { StatePlace } from "../state/state.ts";

/** Who publishes to a topic: what others must know to tell which subscriptions have had everything. */
export type Producer = { readonly name: string; readonly topic: string } & (
  | {
      readonly kind: "source";
      /** It takes snapshots on request. */
      readonly snapshots: boolean;
    }
  | { readonly kind: "transform"; readonly from: readonly string[] }
);

export function producerOf({ name, to, source }: SourceConnector): Producer {
  return { kind: "source", name, topic: to, snapshots: source.capabilities.snapshotOnRequest };
}

/** No connector can have this name. */
const scopeName = "@producers";

/** Remembers a producer until it is removed: its subscribers may run where its config is not known. */
export async function registerProducer(place: StatePlace, producer: Producer): Promise<void> {
  const value = producer as unknown as Json;
  await place.scope(scopeName).state.each([{ key: producer.name, value }]);
}

export async function forgetProducer(place: StatePlace, name: string): Promise<void> {
  await place.scope(scopeName).state.each([{ key: name, value: undefined }]);
}

export async function listProducers(place: StatePlace): Promise<readonly Producer[]> {
  const found: Producer[] = [];
  for await (const page of place.scope(scopeName).state.scan(""))
    for (const { value } of page) found.push(value as unknown as Producer); // written by registerProducer only
  return found;
}

/** How a snapshot reaches one subscription. */
export interface Route {
  readonly source: string;
  /** The connectors it goes through, the subscription last: `chunk/search`. */
  readonly audience: string;
}

/**
 * The ways from every source behind `producer` to one of its subscriptions. `undefined` where a source
 * takes no snapshots on request: then what the subscription missed cannot be brought to it.
 */
export async function routesTo(
  subscription: string,
  { producer, place }: { readonly producer: string; readonly place: StatePlace },
): Promise<readonly Route[] | undefined> {
  return routesAmong(await listProducers(place), producer, subscription);
}

export function routesAmong(
  all: readonly Producer[],
  producer: string,
  subscription: string,
): readonly Route[] | undefined {
  const follow = (one: Producer, audience: string): readonly (Route | undefined)[] => {
    if (one.kind === "source") return [one.snapshots ? { source: one.name, audience } : undefined];
    // A name twice is a loop: nothing new comes round it.
    if (audience.split("/").includes(one.name)) return [];
    const before = all.filter(({ topic }) => one.from.includes(topic));
    return before.flatMap((other) => follow(other, `${one.name}/${audience}`));
  };
  const routes = all
    .filter(({ name }) => name === producer)
    .flatMap((one) => follow(one, subscription));
  const known = routes.filter((route) => route !== undefined);
  return known.length > 0 && known.length === routes.length ? known : undefined;
}
