import { randomUUID } from "node:crypto";
import type { Log } from "../connector.ts";
import { FencedError } from "../errors.ts";
import type { SluiceEvent } from "../event.ts";
import type { Topics } from "../queue/queue.ts";
import type { Fence, StatePlace } from "../state/state.ts";
import { aliasKey } from "./keys.ts";
import { idOf } from "./place-id.ts";

/** Publishes what was read under a lease of the connector; `FencedError` when somebody else has it by now. */
export type Publishing = (
  topic: string,
  events: readonly SluiceEvent[],
  run: { readonly signal: AbortSignal; readonly fence: Fence },
) => Promise<void>;

/**
 * Queues remember the newest holder of each lease, in a place that may be another than the state's. They know a lease by
 * the state's id too, so that tokens are compared within one state only: another one is a stranger. One that went back alone (a
 * backup) may still have the lower token. It says who holds the lease, so whom it lets write takes another name for it.
 */
export function openPublishing(
  connector: string,
  given: { readonly topics: Topics; readonly place: StatePlace; readonly log: Log },
): Publishing {
  const { topics, place, log } = given;
  const { state } = place.scope(connector);
  const known = new Map<string, { readonly token: number; readonly name: string }>();

  async function nameOf({ lease, token }: Fence): Promise<string> {
    const last = known.get(lease);
    if (last?.token === token) return last.name;
    const [stored] = await state.get([aliasKey(lease)]);
    const alias = typeof stored?.value === "string" ? stored.value : "";
    const name = [connector, lease, await idOf(place), alias].join("/");
    known.set(lease, { token, name });
    return name;
  }

  return async (topic, events, { signal, fence }) => {
    const publish = async () => {
      const lease = await nameOf(fence);
      await topics.publish(topic, events, { signal, fence: { lease, token: fence.token } });
    };
    try {
      await publish();
    } catch (error) {
      if (!(error instanceof FencedError)) throw error;
      const { lease } = fence;
      await state.all([{ key: aliasKey(lease), value: randomUUID() }], fence);
      known.delete(lease);
      log.warn(
        { topic, lease },
        "the queue knows a later holder of a lease than the state, which must have gone back: publishing under another name",
      );
      await publish();
    }
  };
}
