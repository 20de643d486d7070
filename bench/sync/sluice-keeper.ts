import { chunk } from "../../connectors/transforms/chunk/chunk.ts";
import { documentOf } from "./documents.ts";
import type { Keeper } from "./edits.ts";
import { openSink } from "./sink.ts";
import { flat } from "./throughput.ts";
import type { Traffic } from "./traffic.ts";

export const maxTokens = 40;

/** One document through queue, `chunk` and the Pinecone sink. */
export async function sluiceKeeper(options: {
  readonly url: string;
  readonly dimensions: number;
  readonly redis: string | undefined;
  readonly taken: () => Traffic;
}): Promise<Keeper> {
  const { url, dimensions, redis, taken } = options;
  const embedding = { provider: "hash", dimensions };
  const sink = await openSink({
    redis,
    url,
    index: "edits-sluice",
    dimensions,
    partitions: 1,
    transforms: [
      {
        use: "chunk",
        transform: chunk,
        config: chunk.config.parse({ maxTokens, embedding }),
        configHash: "00000000",
      },
    ],
  });
  await sink.start();
  let applied = 0;
  let embedded = 0;
  return {
    name: "sluice",
    async apply({ paragraphs, metadata }) {
      const event = documentOf('["1"]', paragraphs.join("\n\n"), ++applied, metadata);
      taken();
      const began = performance.now();
      await sink.publish([event]);
      await sink.handled(applied);
      const ms = performance.now() - began;
      const { embeds = 0 } = flat(await sink.counters());
      const cost = { ...taken(), embeds: embeds - embedded, ms };
      embedded = embeds;
      return cost;
    },
    close: sink.close,
  };
}
