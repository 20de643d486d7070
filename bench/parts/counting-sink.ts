import { defineSink, isRecordChange, z, type JsonObject } from "../../core/index.ts";

/** What this process has been handed. */
export const counted = { events: 0, firstMs: 0, lastMs: 0, latenciesMs: [] as number[] };

const nowMs = () => performance.timeOrigin + performance.now();

/** Counts events, and takes latencies from rows whose `author` is the time they were planned to be sent. */
export const countingSink = defineSink({
  name: "counting",
  version: "1.0.0",
  summary: "Counts.",
  config: z.strictObject({}),
  accepts: [""],
  open: async () => ({
    write: async (events) => {
      const now = nowMs();
      for (const event of events) {
        if (!isRecordChange(event) || event.type === "dev.sluice.collection.cleared") continue;
        if (counted.events === 0) counted.firstMs = now;
        counted.events += 1;
        counted.lastMs = now;
        const { after } = event.data as { readonly after?: JsonObject };
        const author = after?.["author"];
        if (typeof author === "string" && author.startsWith("@"))
          counted.latenciesMs.push(now - Number(author.slice(1)));
      }
    },
    close: async () => {},
  }),
});
