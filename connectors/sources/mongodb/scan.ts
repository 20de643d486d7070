import type { Context, SluiceEvent } from "sluice";
import { captureOf } from "./capture.ts";
import { readChunk, type Range } from "./chunk.ts";
import { existing } from "./collections.ts";
import type { Options } from "./config.ts";
import { connect } from "./deployment.ts";
import { meanings } from "./events.ts";
import { matcherOf } from "./filter.ts";
import { fromDriver } from "./key.ts";
import { lookups } from "./lookup.ts";
import { persistently } from "./retry.ts";

const marks = { number: 1 };

/** Every document there is, once, as a copy would emit it. Opens no change stream and stores nothing. */
export async function* scan(context: Context<Options>): AsyncGenerator<readonly SluiceEvent[]> {
  const { config: options, name, signal, log } = context;
  const deployment = await connect(options, { signal });
  try {
    const { bson } = deployment;
    const capture = captureOf(options);
    const encode = (value: unknown) =>
      fromDriver(bson.EJSON.parse(JSON.stringify(value), { relaxed: false }), bson);
    const matches = options.filter && matcherOf(options.filter, encode);
    const made = meanings({ connector: name, options, capture, matches, epoch: 1 });
    const lookup = lookups(deployment, options, { signal });
    const run = { signal, log };
    const all = await persistently(() => existing(deployment, capture), run);
    for (const { namespace } of all.filter(({ type }) => type === "collection")) {
      const request = { namespace, after: deployment.now, filter: undefined, signal };
      for (let range: Range = {}, isLast = false; !isLast;) {
        const from = range;
        const chunk = await persistently(
          () => readChunk({ deployment, options }, lookup, from, request),
          run,
        );
        const read = { time: chunk.time, ...marks };
        const events = [...chunk.documents].flatMap(
          ([key, document]) => made.ofDocument(namespace, key, document, read).events,
        );
        if (events.length > 0) yield events;
        range = { after: chunk.last };
        ({ isLast } = chunk);
      }
    }
  } finally {
    await deployment.close();
  }
}
