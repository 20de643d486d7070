import type { Transform, Writer } from "../../connector.ts";
import type { SluiceEvent } from "../../event.ts";
import type { Handle } from "../../queue/queue.ts";
import { openChildren } from "../../runtime/children.ts";
import { coalesce } from "../../runtime/coalesce.ts";
import { deliver } from "../../runtime/deliver.ts";
import { guarded, type Failure } from "../../runtime/failure.ts";
import type { OpenStage } from "../../runtime/outcome.ts";
import { throughStages, type Slot } from "../../runtime/stages.ts";
import type { StateStore } from "../../state/state.ts";
import { context } from "./context.ts";
import { state as fakeState } from "./state.ts";

/** What was given up on, and why. */
export interface FakeLetter {
  readonly event: SluiceEvent;
  readonly error: unknown;
}

/**
 * What the runner puts between a queue and a writer: inline transforms, deletes for what leaves, at most
 * one event a record, retries and dead letters. `handle` is for `queue().drain`. A foreign error is tried
 * twice, without delay, then halved; alone, it is given up on.
 */
export async function consumer(given: {
  readonly transforms?: readonly {
    readonly transform: Transform;
    readonly config: Readonly<Record<string, unknown>>;
  }[];
  readonly write: Writer["write"];
  readonly state?: StateStore;
}): Promise<{
  readonly handle: Handle;
  readonly letters: readonly FakeLetter[];
  /** Closes the transforms. */
  readonly close: () => Promise<void>;
}> {
  const { transforms = [], write, state = fakeState().state } = given;
  const { log } = context({ config: {} });
  const letters: FakeLetter[] = [];
  const stages: OpenStage[] = [];
  for (const { transform, config: written } of transforms) {
    const config = transform.config.parse(written);
    const worker = await transform.open(context({ config }));
    const use = transform.name;
    const children = await openChildren(state, use, worker.splits ?? false);
    stages.push({ use, transform, config, configHash: "00000000", worker, children });
  }
  const board = { become: () => {}, meter: () => {}, trouble: () => {} };
  const handle: Handle = async (events, run) => {
    const { signal, fence } = run;
    const writeSlots = async (slots: readonly Slot[]) => {
      const failed: Failure[] = [];
      const places = new Map(slots.map(({ at, event }) => [event, at]));
      for (const group of coalesce([...places.keys()])) {
        const result = await guarded("write", () => write(group, run));
        if (!("failures" in result)) continue;
        for (const failure of result.failures) {
          const event = group[failure.at];
          const at = event && places.get(event);
          if (at === undefined) throw new RangeError(`write: there is no event ${failure.at}.`);
          failed.push({ ...failure, at });
        }
      }
      return failed;
    };
    for (const group of coalesce(events))
      await deliver(group, {
        attempt: (some) => throughStages(stages, some, { signal, fence, write: writeSlots }),
        bury: async (event, { error }) => void letters.push({ event, error }),
        probe: async () => true,
        retry: { attempts: 2, maxDelayMs: 1 },
        health: { succeededAt: 0 },
        board,
        log,
        signal,
      });
  };
  return {
    handle,
    letters,
    close: async () => {
      for (const { worker } of stages) await worker.close?.();
    },
  };
}
