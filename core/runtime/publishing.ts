import { randomUUID } from "node:crypto";
import type { Log } from "../connector.ts";
import { FencedError } from "../errors.ts";
import type { SluiceEvent } from "../event.ts";
import type { Topics } from "../queue/queue.ts";
import type { Fence, StateStore } from "../state/state.ts";
import { publisherKey } from "./keys.ts";

/** Publishes what was read under a lease of the connector; `FencedError` when somebody else has it by now. */
export type Publishing = (
  topic: string,
  events: readonly SluiceEvent[],
  run: { readonly signal: AbortSignal; readonly fence: Fence },
) => Promise<void>;

/**
 * Queues remember the newest holder of each lease, in a place that may be another than the state's. They know a lease by
 * an id that lies in the state, so that tokens are compared within one state only: another one that counts from the beginning
 * is a stranger. One that went back alone (a backup) gives old tokens to new holders; it says who holds the lease, so whom
 * it lets write takes a new id.
 */
export function openPublishing(
  connector: string,
  {
    topics,
    state,
    log,
  }: { readonly topics: Topics; readonly state: StateStore; readonly log: Log },
): Publishing {
  const known = new Map<string, { readonly token: number; readonly id: string }>();

  async function idOf({ lease, token }: Fence): Promise<string> {
    const last = known.get(lease);
    if (last?.token === token) return last.id;
    const [stored] = await state.get([publisherKey(lease)]);
    if (typeof stored?.value !== "string") return renewed({ lease, token });
    known.set(lease, { token, id: stored.value });
    return stored.value;
  }

  async function renewed({ lease, token }: Fence): Promise<string> {
    const id = randomUUID();
    await state.all([{ key: publisherKey(lease), value: id }], { lease, token });
    known.set(lease, { token, id });
    return id;
  }

  return async (topic, events, { signal, fence }) => {
    const publish = async (id: string) =>
      topics.publish(topic, events, {
        signal,
        fence: { lease: `${connector}/${fence.lease}/${id}`, token: fence.token },
      });
    const id = await idOf(fence);
    try {
      await publish(id);
    } catch (error) {
      if (!(error instanceof FencedError)) throw error;
      const another = await renewed(fence);
      log.warn(
        { topic, lease: fence.lease },
        "the queue knows a later holder of a lease than the state, which must have gone back: publishing under a new name",
      );
      await publish(another);
    }
  };
}
