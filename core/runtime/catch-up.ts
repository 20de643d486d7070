import type { Log } from "../connector.ts";
import type { Json } from "../event.ts";
import { pause } from "../queue/assign.ts";
import type { Subscriber, Topics } from "../queue/queue.ts";
import type { Fence, StatePlace, StateStore, StateWrite } from "../state/state.ts";
import {
  listProducers,
  registerProducer,
  routesTo,
  type Producer,
  type Route,
} from "./producers.ts";
import { askedWrite, forgottenWrite, pendingRequests } from "./requests.ts";
import { untilAborted } from "./until-aborted.ts";

const beganKey = "began";
const servedPrefix = "served/";
const lookEveryMs = 1_000;
const firstLookEveryMs = 200;

/** Kept by a producer for each subscription of its topic that has had everything, or was seen to. */
export interface Served {
  readonly generation: string;
  /** The snapshots that bring it what it missed; none where it was there before the first event. */
  readonly requests: readonly { readonly source: string; readonly id: string }[];
}

/** What a producer knows of whom it has served. `undefined`: it has published nothing yet. */
export async function servedBy(
  state: StateStore,
): Promise<ReadonlyMap<string, Served> | undefined> {
  const [began] = await state.get([beganKey]);
  return began && (await marksOf(state));
}

async function marksOf(state: StateStore): Promise<ReadonlyMap<string, Served>> {
  const marks = new Map<string, Served>();
  for await (const page of state.scan(servedPrefix))
    for (const { key, value } of page)
      marks.set(key.slice(servedPrefix.length), value as unknown as Served); // written below only
  return marks;
}

/** What serving the subscriptions of a topic needs. */
export interface Publishing {
  readonly producer: Producer;
  readonly topics: Pick<Topics, "subscribers">;
  readonly state: StatePlace;
  /** The topic waits for nobody. */
  readonly isOptional: boolean;
  /** Of a source: proves that it still is the one. */
  readonly fence?: Fence;
  readonly log: Log;
  readonly signal: AbortSignal;
}

export interface Serving {
  /** To be awaited before each publish: before the first one it marks who is there (Invariant 3). */
  readonly begun: (run: { readonly signal: AbortSignal }) => Promise<void>;
}

/**
 * Knows whom a producer has served from its first event on, and gives who subscribes later a snapshot
 * of its own, where that can be had: it looks once a second, until abort. `isAnew`: what it publishes
 * now is everything again. `asked` is told when a snapshot was asked for.
 */
export async function openServing(
  publishing: Publishing,
  { isAnew, asked }: { readonly isAnew: boolean; readonly asked: () => void },
): Promise<Serving> {
  const { producer, state, signal } = publishing;
  await untilAborted(registerProducer(state, producer), signal);
  const served = await untilAborted(servedBy(state.scope(producer.name).state), signal);
  let hasBegun = !isAnew && served !== undefined;
  const follow = () => {
    if (producer.kind === "transform" || producer.snapshots) void serveNewcomers(publishing, asked); // never rejects
  };
  if (hasBegun) follow();
  return {
    begun: async (run) => {
      if (hasBegun) return;
      await begin({ ...publishing, signal: run.signal });
      hasBegun = true;
      follow();
    },
  };
}

/** Waits for the first subscription, as `publish` would: who comes while it waits has missed nothing. */
async function begin(publishing: Publishing): Promise<void> {
  const { producer, topics, isOptional, fence, log, signal } = publishing;
  const { name, topic } = producer;
  const { state } = publishing.state.scope(name);
  let all = await untilAborted(topics.subscribers(topic), signal);
  for (let looks = 0; all.length === 0 && !isOptional; looks++) {
    if (looks === 0) log.warn({ topic }, "topic has no subscription: its sources wait"); // Invariant 4
    await pause(firstLookEveryMs, signal);
    all = await untilAborted(topics.subscribers(topic), signal);
  }
  const marks = await untilAborted(marksOf(state), signal);
  const served = all.filter((one) => !isMarked(one, marks)).map((one) => servedWrite(one, []));
  const value = { at: new Date().toISOString() };
  // A transform may have begun in another process: who came after that has missed something.
  const began = { key: beganKey, value, ...(producer.kind === "transform" && { expect: 0 }) };
  await untilAborted(state.all([...served, began], fence), signal);
}

async function serveNewcomers(publishing: Publishing, asked: () => void): Promise<void> {
  const { log, signal } = publishing;
  while (!signal.aborted) {
    try {
      if (await untilAborted(look(publishing), signal)) asked();
    } catch (error) {
      // Queue or state does not answer, or the lease has gone: the next look succeeds, or there is none.
      if (!signal.aborted) log.debug({ error }, "newcomers not looked for");
    }
    await pause(lookEveryMs, signal);
  }
}

async function look(publishing: Publishing): Promise<boolean> {
  const { producer, topics, fence, log } = publishing;
  const { name, topic } = producer;
  const { state } = publishing.state.scope(name);
  const marks = await marksOf(state);
  const all = await topics.subscribers(topic);
  for (const [who, { generation, requests }] of marks) {
    if (all.some((one) => one.name === who && one.generation === generation)) continue;
    await forget(requests, publishing.state);
    await state.each([{ key: servedPrefix + who, value: undefined }], fence);
  }
  let hasAsked = false;
  for (const one of all.filter((each) => !isMarked(each, marks))) {
    const routes = await routesTo(one.name, { producer: name, place: publishing.state });
    if (!routes) continue; // it stays partial: somebody on the way takes no snapshots
    // Asked first and marked then: a crash between the two asks for the same again.
    const requests = await ask(routes, one, publishing.state);
    await state.each([servedWrite(one, requests)], fence);
    log.info({ topic, subscription: one.name }, "late subscription: catching up by a snapshot");
    hasAsked = true;
  }
  return hasAsked;
}

/** Resolves once a producer that has ended is needed again: somebody subscribed, or asked for a snapshot. Rejects on abort. */
export async function untilWanted({
  producer,
  topics,
  state: place,
  log,
  signal,
}: Publishing): Promise<void> {
  const { state } = place.scope(producer.name);
  for (;;) {
    await pause(lookEveryMs, signal);
    signal.throwIfAborted();
    try {
      if ((await untilAborted(pendingRequests(state), signal)).length > 0) return;
      const marks = await untilAborted(marksOf(state), signal);
      const all = await untilAborted(topics.subscribers(producer.topic), signal);
      if (all.some((one) => !isMarked(one, marks))) return;
    } catch (error) {
      signal.throwIfAborted();
      log.debug({ error }, "newcomers not looked for");
    }
  }
}

async function ask(
  routes: readonly Route[],
  { generation }: Subscriber,
  place: StatePlace,
): Promise<Served["requests"]> {
  for (const { source, audience } of routes)
    await place.scope(source).state.each([askedWrite(requestOf(generation, audience))]);
  return routes.map(({ source, audience }) => ({ source, id: requestOf(generation, audience).id }));
}

/** The same newcomer, the same id: asking twice asks once. Begins with when it came. */
function requestOf(generation: string, audience: string) {
  return { id: `${generation}.${audience.replaceAll("/", ".")}`, audience };
}

/** Nobody is to catch up a subscription that has ended. Where a producer runs, it finds that out by itself. */
export async function forgetSubscription(
  topic: string,
  name: string,
  place: StatePlace,
): Promise<void> {
  for (const producer of await listProducers(place)) {
    if (producer.topic !== topic) continue;
    const { state } = place.scope(producer.name);
    const key = servedPrefix + name;
    const [mark] = await state.get([key]);
    if (!mark) continue;
    await forget((mark.value as unknown as Served).requests, place); // written by servedWrite only
    await state.each([{ key, value: undefined }]);
  }
}

async function forget(requests: Served["requests"], place: StatePlace): Promise<void> {
  for (const { source, id } of requests) await place.scope(source).state.each([forgottenWrite(id)]);
}

function servedWrite({ name, generation }: Subscriber, requests: Served["requests"]): StateWrite {
  const value: Served = { generation, requests };
  return { key: servedPrefix + name, value: value as unknown as Json };
}

function isMarked({ name, generation }: Subscriber, marks: ReadonlyMap<string, Served>): boolean {
  return marks.get(name)?.generation === generation;
}
