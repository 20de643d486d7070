import { defineSource } from "sluice";
import { openBucket } from "./bucket.ts";
import { check } from "./check.ts";
import { checkpoint, config } from "./config.ts";
import { follow } from "./follow.ts";
import { openDoubts } from "./memory/doubts.ts";
import { openFailures } from "./memory/failures.ts";
import { openLimit } from "./memory/limit.ts";
import { openMemory } from "./memory/memory.ts";
import { scan } from "./scan.ts";

/**
 * Emits an event for every object of a bucket that appears, changes or goes, after a first read of all.
 * The subject is the object's key. A listing is compared with what was emitted before, or notifications
 * say where to look; either way the object itself is read, in one state, and decides.
 *
 * While the bucket cannot be reached nothing is deleted; an object that cannot be read is kept as it is.
 */
export const s3 = defineSource({
  name: "s3",
  version: "1.0.0",
  summary: "Objects of an S3 bucket, listed again and again or told of by notifications.",
  config,
  checkpoint,
  emits: ["dev.sluice.record.", "dev.sluice.collection.cleared"],
  capabilities: { deletes: true, snapshotOnRequest: true, replays: true, forgets: false },
  check,
  scan,
  async *read(context) {
    const { state, config } = context;
    const notes = {
      memory: await openMemory(state),
      doubts: await openDoubts(state),
      failures: await openFailures(state),
      limit: await openLimit(state, config.maxBytes),
    };
    const bucket = await openBucket(config);
    try {
      yield* follow(context, bucket, notes);
    } finally {
      bucket.close();
    }
  },
});
