import type { SinkConnector } from "../config/pipeline.ts";
import { defineSink, type Writer } from "../connector.ts";
import { z } from "../index.ts";

/** A sink that takes everything, and is what `write` does. */
export function sinkConnector(
  from: string,
  write: Writer["write"],
  more: Partial<SinkConnector> = {},
): SinkConnector {
  const sink = defineSink({
    name: "collect",
    version: "1.0.0",
    summary: "",
    config: z.strictObject({}),
    accepts: [""],
    open: async () => ({ write, close: async () => {} }),
  });
  const retry = { attempts: 3, maxDelayMs: 50 };
  const own = { kind: "sink", name: "collect", sink, config: {}, transforms: [], retry } as const;
  return { ...own, from: [from], ...more };
}
