import assert from "node:assert/strict";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { WriteRun } from "../../core/connector.ts";
import type { SluiceEvent } from "../../core/event.ts";
import type { Party, PartyOptions } from "../../core/queue/conformance.ts";
import { partitions, taken, waitingOf, whatIs, type Model, type Name } from "./model.ts";

const options: PartyOptions = {
  partitions,
  optional: false,
  maxWaiting: 10_000,
  leaseMs: 400,
  writeTimeoutMs: 50,
};
const withinMs = 30_000;

/** A queue under test, as a few processes see it. */
export interface Real {
  readonly topic: string;
  readonly party: () => Promise<Party>;
  /** Ends all processes, in order. */
  readonly reopen: () => Promise<void>;
}

export function openReal(topic: string, open: (options: PartyOptions) => Promise<Party>): Real {
  let opened: Party[] = [];
  return {
    topic,
    party: async () => {
      const party = await open(options);
      opened.push(party);
      return party;
    },
    reopen: async () => {
      for (const { topics, state } of opened) {
        await topics.close(1_000);
        await state.close();
      }
      opened = [];
    },
  };
}

type Handler = (events: readonly SluiceEvent[]) => Promise<void>;

/**
 * Consumes until `isEnough`, and takes what was handled out of the model, which says what it must be. `before` may
 * throw: then the batch is not handled.
 */
export async function consume(
  { topic }: Pick<Real, "topic">,
  model: Model,
  parties: readonly Party[],
  name: Name,
  run: {
    readonly isEnough: (batches: number) => boolean;
    readonly before?: Handler;
    readonly meanwhile?: () => Promise<void>;
  },
): Promise<void> {
  const stop = new AbortController();
  let batches = 0;
  const wrong: string[] = [];
  const handle = async (events: readonly SluiceEvent[], { redelivered }: WriteRun) => {
    await run.before?.(events);
    batches += 1;
    const whats = events.map(whatIs);
    const partition = whats[0]?.partition ?? -1;
    const line = model.lines.get(name)?.[partition];
    const numbers = whats.map(({ n }) => n);
    const isOne = line && whats.every((one) => one.partition === partition);
    const fault = isOne
      ? taken(model, line, numbers, redelivered)
      : "a batch of several partitions";
    if (fault) wrong.push(`${name}/${partition}: ${fault}`);
    await sleep(0);
  };
  const done = parties.map(({ topics }) =>
    topics.consume(topic, name, handle, { signal: stop.signal }),
  );
  await run.meanwhile?.();
  await until(
    () => wrong.length > 0 || run.isEnough(batches) || waitingOf(model, name) === 0,
    () => `${name} gets the ${waitingOf(model, name)} events that wait for it`,
  );
  stop.abort();
  await Promise.all(done);
  assert.deepEqual(wrong, []);
}

/** A process takes batches and dies with them: nothing is acknowledged, no lease released. */
export async function crash({ topic, party }: Real, name: Name, hasWork: boolean): Promise<void> {
  const dying = await party();
  let taken = 0;
  const never = new AbortController();
  const consuming = dying.topics.consume(
    topic,
    name,
    async () => {
      taken += 1;
      await once(never.signal, "abort");
    },
    { signal: never.signal },
  );
  consuming.catch(() => {}); // it never ends: its process is gone
  if (hasWork)
    await until(
      () => taken > 0,
      () => `a batch for the one of ${name} that dies`,
    );
  await dying.state.close();
  await dying.topics.close(0);
}

export async function until(
  isTrue: () => boolean | Promise<boolean>,
  what: () => string,
): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await isTrue())) {
    assert.ok(performance.now() < deadline, `not within ${withinMs} ms: ${what()}`);
    await sleep(5);
  }
}
