import { version, type Context, type SluiceEvent } from "sluice";
import { openBucket } from "./bucket.ts";
import type { Options } from "./config.ts";
import { follow } from "./follow.ts";
import { openMemory } from "./memory/memory.ts";
import type { Notes } from "./memory/notes.ts";

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
    givenUp: async () => [],
    requests: nobody(),
    progress: () => {},
  };
  try {
    const notes = { ...untouched, memory: await openMemory(context.state) };
    const batches = follow(run, bucket, notes);
    for await (const { events, checkpoint } of batches) {
      if (checkpoint.pass === undefined) return;
      yield events;
    }
  } finally {
    bucket.close();
  }
}

const untouched: Omit<Notes, "memory"> = {
  doubts: {
    keys: () => [],
    has: () => false,
    keep: async () => {},
    announce: async () => [],
    settle: () => [],
  },
  failures: {
    resting: () => undefined,
    has: () => false,
    due: () => [],
    dueInMs: () => Infinity,
    count: () => 0,
    failed: async () => 1,
    mended: () => [],
  },
  limit: { isLowered: () => false, checked: () => [] },
};

async function* nobody(): AsyncGenerator<never> {}
