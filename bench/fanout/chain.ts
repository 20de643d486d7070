import { setTimeout as sleep } from "node:timers/promises";
import type { ResolvedConnector, Stage } from "../../core/config/pipeline.ts";
import { defineSink, defineSource, defineTransform } from "../../core/connector.ts";
import type { SluiceEvent } from "../../core/event.ts";
import { z } from "../../core/index.ts";
import { startPipeline } from "../../core/runtime/runner.ts";
import { openLoad } from "../queue/load.ts";
import { log, openPlace, pipelineAt } from "./place.ts";

const yieldEvents = 1_000;
const warmUpYields = 20;
const config = z.strictObject({});
const about = { version: "1.0.0", summary: "", config };
const retry = { attempts: 5, maxDelayMs: 1_000 };

/** Passes on what it gets: only the hop is measured. */
const same: Stage = {
  use: "same",
  config: {},
  configHash: "00000000",
  transform: defineTransform({
    ...about,
    name: "same",
    accepts: [""],
    emits: [""],
    open: async () => ({ apply: async (events) => events }),
  }),
};

/** Records of their own: versions of one record that meet in a batch are merged before the sink. */
function ofTheirOwn(events: readonly SluiceEvent[]): readonly SluiceEvent[] {
  return events.map((event) => ({ ...event, subject: event.id, partitionkey: event.id }));
}

/** Events a second from a source over so many topics, a transform between each two, to a sink: a whole pipeline. */
export async function measureChain(
  kind: "embedded" | "redis",
  hops: number,
  seconds: number,
): Promise<{ readonly eventsPerSecond: number }> {
  const { place, remove } = await openPlace(kind);
  const load = openLoad(hops);
  let handled = 0;
  let allowed = warmUpYields;
  let yields = 0;
  const source = defineSource({
    ...about,
    name: "load",
    checkpoint: z.number(),
    emits: [""],
    capabilities: { deletes: false, snapshotOnRequest: false, replays: true, forgets: false },
    async *read({ signal }) {
      while (!signal.aborted) {
        if (yields >= allowed) await sleep(1);
        else yield { events: ofTheirOwn(load.next(yieldEvents)), checkpoint: (yields += 1) };
      }
    },
  });
  const sink = defineSink({
    ...about,
    name: "count",
    accepts: [""],
    open: async () => ({
      write: async (events) => {
        handled += events.length;
      },
      close: async () => {},
    }),
  });
  const topic = (at: number) => `hop-${at}`;
  const connectors: readonly ResolvedConnector[] = [
    { kind: "source", name: "load", source, config: {}, to: topic(0) },
    ...Array.from({ length: hops - 1 }, (_, at): ResolvedConnector => ({
      kind: "transform",
      name: `same-${at}`,
      from: [topic(at)],
      to: topic(at + 1),
      transforms: [same],
      retry,
    })),
    {
      kind: "sink",
      name: "count",
      sink,
      config: {},
      from: [topic(hops - 1)],
      transforms: [],
      retry,
    },
  ];
  const settings = { partitions: 4, optional: false, maxWaiting: 100 };
  const topics = Object.fromEntries(
    Array.from({ length: hops }, (_, at) => [topic(at), settings] as const),
  );
  const drained = async () => {
    while (yields < allowed || handled < load.made()) await sleep(1);
  };
  const running = await startPipeline(pipelineAt(place, { topics, connectors }), {
    log,
    admin: { host: "127.0.0.1", port: 0 },
  });
  try {
    await drained();
    const before = load.made();
    const began = performance.now();
    allowed = Infinity;
    await sleep(seconds * 1_000);
    allowed = yields;
    await drained();
    const tookS = (performance.now() - began) / 1_000;
    return { eventsPerSecond: Math.round((load.made() - before) / tookS) };
  } finally {
    await running.stop(5_000);
    await remove();
  }
}
