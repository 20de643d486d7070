import type { Backend } from "../backend.ts";
import { SluiceError } from "../errors.ts";
import type { SluiceEvent } from "../event.ts";
import type { DeadLetter } from "../queue/queue.ts";
import { release } from "./parking.ts";

const atOnce = 100;

/**
 * Publishes dead letters again, to the connector that gave them up and to nobody else, oldest version,
 * or first given up on, first; each letter goes once its event is durable. What the connector has written since of a newer
 * version wins, as with any late event. One that fails again is a dead letter again. Throws
 * `SluiceError` `dead-letters.no-subscription` where the connector no longer reads the topic.
 */
export async function replayLetters(
  connector: string,
  letters: readonly DeadLetter[],
  { topics, deadLetters, state }: Pick<Backend, "topics" | "deadLetters" | "state">,
  run: { readonly signal: AbortSignal; readonly replayed?: (letters: number) => void },
): Promise<void> {
  const byTopic = new Map<string, DeadLetter[]>();
  for (const letter of letters) {
    const share = byTopic.get(letter.topic);
    if (share) share.push(letter);
    else byTopic.set(letter.topic, [letter]);
  }
  for (const [topic, share] of byTopic) {
    if (share.every(isOfSource)) continue;
    const all = await topics.subscriptions(topic);
    if (!all.some(({ name }) => name === connector)) throw notSubscribed(connector, topic);
  }
  // Before they come: else they would have to wait behind themselves.
  await letGo(connector, letters, { deadLetters, state });
  for (const [topic, share] of byTopic) {
    const inOrder = share.toSorted((a, b) => compare(orderOf(a), orderOf(b)));
    for (let at = 0; at < inOrder.length; at += atOnce) {
      const some = inOrder.slice(at, at + atOnce);
      const events = some.map((letter) =>
        isOfSource(letter) ? letter.event : addressed(letter.event, connector),
      );
      await topics.publish(topic, events, run);
      await deadLetters.remove(
        connector,
        some.map(({ id }) => id),
      );
      run.replayed?.(some.length);
    }
  }
}

/** It was never published: everybody is to get it. */
function isOfSource({ stage }: DeadLetter): boolean {
  return stage === "publish";
}

/** One of a catch-up keeps its way: it begins with this connector, or it would not have got it. */
function addressed(event: SluiceEvent, connector: string): SluiceEvent {
  return typeof event.audience === "string" ? event : { ...event, audience: connector };
}

/** Versions of records; what has none, as it was given up on. */
function orderOf({ event, order, firstAt }: DeadLetter): string {
  return typeof event["sequence"] === "string" ? event["sequence"] : (order ?? firstAt);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Forgets dead letters; what waited behind the last one of its key goes on from now on. */
export async function dropLetters(
  connector: string,
  letters: readonly DeadLetter[],
  backend: Pick<Backend, "deadLetters" | "state">,
): Promise<void> {
  await backend.deadLetters.remove(
    connector,
    letters.map(({ id }) => id),
  );
  await letGo(connector, letters, backend);
}

async function letGo(
  connector: string,
  settled: readonly DeadLetter[],
  { deadLetters, state }: Pick<Backend, "deadLetters" | "state">,
): Promise<void> {
  const ids = new Set(settled.map(({ id }) => id));
  const rest: DeadLetter[] = [];
  for await (const page of deadLetters.list(connector))
    rest.push(...page.filter(({ id }) => !ids.has(id)));
  await release(state.scope(connector).state, settled, rest);
}

function notSubscribed(connector: string, topic: string): SluiceError {
  return new SluiceError(`${connector}: it does not read topic "${topic}" any more.`, {
    code: "dead-letters.no-subscription",
    fix: "Start it with that topic in `from`, then replay; or drop its dead letters.",
  });
}
