import { constants, PerformanceObserver } from "node:perf_hooks";
import { loadPipeline } from "../../core/config/load.ts";
import { startPipeline } from "../../core/runtime/runner.ts";
import { catalog } from "../../connectors/registry.ts";
import { counted, countingSink } from "./counting-sink.ts";

/** What a part of the pipeline tells of itself, every 50 ms. */
export interface PartReport {
  readonly events: number;
  readonly firstMs: number;
  readonly lastMs: number;
  readonly latenciesMs: readonly number[];
  readonly rssBytes: number;
  /** What was left on the heap when all of it was last collected; the rest of its size is what V8 lets pile up. */
  readonly liveHeapBytes: number;
  readonly cpuMs: number;
  /** Of the source in this process: published so far, and what it says of itself. */
  readonly published: number;
  /** Events that the sinks in this process are done with. */
  readonly written: number;
  readonly phase: string | undefined;
}

const [file = ""] = process.argv.slice(2);
const silent = () => {};
const log = {
  debug: silent,
  info: silent,
  warn: (fields: object, message: string) => console.error(message, fields),
  error: (fields: object, message: string) => console.error(message, fields),
};
const pipeline = await loadPipeline([file], {
  env: process.env,
  catalog: { ...catalog, sinks: { ...catalog.sinks, counting: async () => countingSink } },
});
const running = await startPipeline(pipeline, { log, admin: { host: "127.0.0.1", port: 0 } });
let liveHeapBytes = 0;
const collections = new PerformanceObserver((list) => {
  // Of entries of this type it is there as the documentation says, and not in their types.
  const isWhole = (entry: object) =>
    (entry as { readonly detail?: { readonly kind?: number } }).detail?.kind ===
    constants.NODE_PERFORMANCE_GC_MAJOR;
  if (list.getEntries().some(isWhole)) liveHeapBytes = process.memoryUsage().heapUsed;
});
collections.observe({ entryTypes: ["gc"] });
const tell = async () => {
  const { user, system } = process.cpuUsage();
  const { connectors } = await running.status();
  const source = connectors.find(({ kind }) => kind === "source");
  const sinks = connectors.filter(({ kind }) => kind === "sink");
  const report: PartReport = {
    ...counted,
    latenciesMs: counted.latenciesMs.splice(0),
    rssBytes: process.memoryUsage.rss(),
    liveHeapBytes,
    cpuMs: (user + system) / 1_000,
    published: source?.events ?? 0,
    written: sinks.reduce((sum, { events }) => sum + events, 0),
    phase: source?.progress?.phase,
  };
  if (process.connected) process.send?.(report);
};
setInterval(() => void tell().catch(console.error), 50);
process.on("disconnect", () => process.exit(0));
process.on("message", () => void running.stop(5_000).then(() => process.exit(0)));
