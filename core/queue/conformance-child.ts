import { once } from "node:events";
import type { Party, PartyOptions } from "./conformance.ts";
import type { SluiceEvent } from "../event.ts";

/** What the suite starts a child with, as JSON in its last argument. */
export interface ChildOrder {
  readonly options: PartyOptions;
  readonly topic: string;
  readonly name: string;
  /** Do not finish a batch until told to. */
  readonly hang: boolean;
}

/** What a child is told: to finish the batches it holds, to stop consuming and exit. */
export type ChildMessage = "finish" | "stop";

/** What a child tells about each batch, before it has handled it. */
export interface ChildBatch {
  readonly events: readonly SluiceEvent[];
  readonly redelivered: boolean;
}

/** The main of a child process: consumes and reports until it is killed or told to stop. */
export async function consumeAsChild(
  open: (options: PartyOptions) => Promise<Party>,
): Promise<void> {
  const { options, topic, name, hang } = JSON.parse(process.argv.at(-1) ?? "") as ChildOrder;
  const party = await open(options);
  const stop = new AbortController();
  const finish = new AbortController();
  process.on("message", (message: ChildMessage) => {
    if (message === "finish") finish.abort();
    else stop.abort();
  });
  process.once("disconnect", () => process.exit());
  await party.topics.consume(
    topic,
    name,
    async (events, { redelivered }) => {
      const batch: ChildBatch = { events, redelivered };
      await new Promise<void>((sent) => process.send?.(batch, () => sent()));
      if (hang && !finish.signal.aborted) await once(finish.signal, "abort");
    },
    { signal: stop.signal },
  );
  await party.topics.close(1_000);
  await party.state.close();
  process.disconnect();
}
