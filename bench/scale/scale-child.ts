import { catalog } from "../../connectors/registry.ts";
import { loadPipeline } from "../../core/config/load.ts";
import { startPipeline } from "../../core/runtime/runner.ts";
import { checked, numbers, seen, slow } from "./connectors.ts";

/** What a process of the benchmark tells of itself, ten times a second. */
export interface ScaleReport {
  readonly events: number;
  readonly outOfOrder: number;
  readonly published: number;
  /** The processes that consume the documents. */
  readonly consumers: number;
  readonly startedAt: string;
}

const [file = ""] = process.argv.slice(2);
const log = {
  debug: () => {},
  info: () => {},
  warn: (fields: object, message: string) => console.error(message, fields),
  error: (fields: object, message: string) => console.error(message, fields),
};
const pipeline = await loadPipeline([file], {
  env: process.env,
  catalog: {
    sources: { ...catalog.sources, numbers: async () => numbers },
    transforms: { ...catalog.transforms, slow: async () => slow },
    sinks: { ...catalog.sinks, checked: async () => checked },
  },
});
const running = await startPipeline(pipeline, { log, admin: { host: "127.0.0.1", port: 0 } });
const tell = async () => {
  const { connectors, startedAt } = await running.status();
  const of = (kind: string) => connectors.find((one) => one.kind === kind);
  const report: ScaleReport = {
    events: seen.events,
    outOfOrder: seen.outOfOrder,
    published: of("source")?.events ?? 0,
    consumers: of("transform")?.subscriptions?.[0]?.consumers ?? 0,
    startedAt,
  };
  if (process.connected) process.send?.(report);
};
setInterval(() => void tell().catch(console.error), 100);
process.on("disconnect", () => process.exit(0));
process.on("message", () => void running.stop(5_000).then(() => process.exit(0)));
