import type { Pipeline, SinkConnector } from "../config/pipeline.ts";
import type { Log } from "../connector.ts";
import { scratchState } from "../state/scratch.ts";
import { blaming } from "./blame.ts";
import { scanFor, waysTo } from "./documents-of.ts";

/** What a first run would embed into one sink. */
export interface Estimate {
  readonly sink: string;
  readonly model: string;
  readonly records: number;
  /** Of which so many are refused by a transform: dead letters. */
  readonly refused: number;
  readonly documents: number;
  readonly chunks: number;
  /** Equal texts once. */
  readonly texts: number;
  readonly tokens: number;
  /** Dollars by the provider's list; absent where nobody knows the price. */
  readonly dollars?: number;
  /** Reading ended at this many records: there may be more. */
  readonly limit?: number;
  readonly scanned: readonly string[];
  readonly skipped: readonly { readonly source: string; readonly why: string }[];
}

/** Estimates what a first run would cost, by reading the sources without a trace and going through the transforms. */
export async function estimateSink(
  pipeline: Pipeline,
  sink: SinkConnector,
  run: { readonly limit: number; readonly log: Log; readonly signal: AbortSignal },
): Promise<Estimate | undefined> {
  const { openEstimator } = sink.sink;
  if (!openEstimator) return undefined;
  const { log, signal, limit } = run;
  const { project } = pipeline;
  const { name, config } = sink;
  const context = {
    name,
    project,
    config,
    log,
    signal,
    state: scratchState(),
    meter: () => {},
  };
  const who = `sink "${name}" (${sink.sink.name})`;
  const estimator = await blaming(who, () => openEstimator(context));
  const scan = scanFor(sink, waysTo(sink, pipeline), { ...run, project });
  const keys = new Set<string>();
  let [documents, chunks, tokens] = [0, 0, 0];
  for await (const document of scan.documents) {
    documents += 1;
    for (const text of estimator.textsOf(document)) {
      chunks += 1;
      if (keys.has(text.key)) continue;
      keys.add(text.key);
      tokens += text.tokens;
    }
  }
  const { records, refused } = scan.counts;
  const { pricePerMillionTokens: price } = estimator;
  return {
    sink: name,
    model: estimator.model,
    records,
    refused,
    documents,
    chunks,
    texts: keys.size,
    tokens,
    ...(price !== undefined && { dollars: (tokens / 1e6) * price }),
    ...(records >= limit && { limit }),
    scanned: scan.scanned,
    skipped: scan.skipped,
  };
}
