import { version, type Context, type SluiceEvent } from "sluice";
import { openBucket } from "./bucket.ts";
import type { Options } from "./config.ts";
import { follow } from "./follow.ts";
import type { Doubts } from "./memory/doubts.ts";
import { openMemory } from "./memory/memory.ts";

/**
 * Every object there is, once, as the first snapshot would emit it. Takes no message from the queue: it
 * would be missing where the source runs.
 */
export async function* scan(context: Context<Options>): AsyncGenerator<readonly SluiceEvent[]> {
  const config = { ...context.config, notifications: undefined };
  const bucket = await openBucket(config);
  let position = 0n;
  const run = {
    ...context,
    config,
    checkpoint: undefined,
    nextVersion: () => version({ epoch: 1, position: ++position, rank: 0, tail: 0 }),
    settled: async () => {},
    refuse: async () => {},
    tap: async () => (async function* () {})(),
    requests: nobody(),
    progress: () => {},
  };
  try {
    const batches = follow(run, bucket, await openMemory(context.state), nothingInDoubt);
    for await (const { events, checkpoint } of batches) {
      if (checkpoint.pass === undefined) return;
      yield events;
    }
  } finally {
    bucket.close();
  }
}

const nothingInDoubt: Doubts = {
  keys: () => [],
  has: () => false,
  announce: async () => [],
  settle: () => [],
};

async function* nobody(): AsyncGenerator<never> {}
