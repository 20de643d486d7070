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
  readonly heapUsedBytes: number;
  readonly cpuMs: number;
  /** Of the source in this process: published so far, and what it says of itself. */
  readonly published: number;
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
const tell = async () => {
  const { user, system } = process.cpuUsage();
  const memory = process.memoryUsage();
  const { connectors } = await running.status();
  const source = connectors.find(({ kind }) => kind === "source");
  const report: PartReport = {
    ...counted,
    latenciesMs: counted.latenciesMs.splice(0),
    rssBytes: memory.rss,
    heapUsedBytes: memory.heapUsed,
    cpuMs: (user + system) / 1_000,
    published: source?.events ?? 0,
    phase: source?.progress?.phase,
  };
  if (process.connected) process.send?.(report);
};
setInterval(() => void tell().catch(console.error), 50);
process.on("disconnect", () => process.exit(0));
process.on("message", () => void running.stop(5_000).then(() => process.exit(0)));
