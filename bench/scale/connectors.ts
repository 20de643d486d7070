import { setTimeout as sleep } from "node:timers/promises";
import {
  defineSink,
  defineSource,
  defineTransform,
  isRecordChange,
  upserted,
  version,
  z,
} from "../../core/index.ts";

const keys = 64;
export const batchSize = 64;
/** How long a document occupies a process. */
const workMs = 20;

/** Documents without end: 64 keys, each with a rising number. */
export const numbers = defineSource({
  name: "numbers",
  version: "1.0.0",
  summary: "Counts.",
  config: z.strictObject({}),
  checkpoint: z.strictObject({ n: z.int() }),
  emits: ["dev.sluice.record."],
  capabilities: { deletes: false, snapshotOnRequest: false, replays: true, forgets: false },
  async *read({ checkpoint, signal }) {
    for (let n = checkpoint?.n ?? 0; !signal.aborted; n += batchSize) {
      const events = Array.from({ length: batchSize }, (_, at) => {
        const subject = `key-${(n + at) % keys}`;
        return upserted({
          source: "/numbers",
          key: subject,
          subject,
          version: version({ epoch: 1, position: BigInt(n + at), rank: 1, tail: 0 }),
          time: new Date().toISOString(),
          op: "update",
          after: { n: Math.floor((n + at) / keys) },
          meta: {},
        });
      });
      yield { events, checkpoint: { n: n + batchSize } };
    }
  },
});

// One document at a time in the whole process, whatever its partition.
let last: Promise<unknown> = Promise.resolve();

/** Stands for a chunker that a process can run only once. */
export const slow = defineTransform({
  name: "slow",
  version: "1.0.0",
  summary: "Takes its time.",
  config: z.strictObject({}),
  accepts: [""],
  emits: [""],
  open: async () => ({
    apply: async (events) => {
      const before = last;
      const turn = (async () => {
        await before;
        for (let left = events.length; left > 0; left--) await sleep(workMs);
      })();
      last = turn;
      await turn;
      return events;
    },
  }),
});

/** What this process has been handed: how much, how much of it out of order, and the highest number of each key. */
export const seen = { events: 0, outOfOrder: 0, last: new Map<string, number>() };

export const checked = defineSink({
  name: "checked",
  version: "1.0.0",
  summary: "Counts, and looks at the order.",
  config: z.strictObject({}),
  accepts: [""],
  open: async () => ({
    write: async (events) => {
      for (const event of events) {
        if (!isRecordChange(event) || !("after" in event.data)) continue;
        const { n } = event.data.after as { readonly n: number };
        const before = seen.last.get(event.subject) ?? -1;
        // A repeat after a hand-over is allowed, a gap is not.
        if (n > before + 1) seen.outOfOrder += 1;
        if (n <= before) continue;
        seen.events += 1;
        seen.last.set(event.subject, n);
      }
    },
    close: async () => {},
  }),
});
