import { once } from "node:events";
import type { Party, PartyOptions } from "./conformance.ts";
import type { SluiceEvent } from "../event.ts";
import { change } from "./conformance/events.ts";

/** What the suite starts a child with, as JSON in its last argument. */
export interface ChildOrder {
  readonly options: PartyOptions;
  readonly topic: string;
  readonly name: string;
  /**
   * `consume`, or consume and `hang`: not finish a batch until told to; or `block`: stand still with its first batch for three
   * leases, event loop and all. `publish`: changes 1, 2, … of the key `x`, until it is killed.
   */
  readonly does: "consume" | "hang" | "block" | "publish";
}

/** What a child is told: to finish the batches it holds, to stop consuming and exit. */
export type ChildMessage = "finish" | "stop";

/** What a child tells about each batch, before it has handled it or once it has published it. */
export interface ChildBatch {
  readonly events: readonly SluiceEvent[];
  readonly redelivered: boolean;
}

/** The main of a child process: does what it is ordered and reports until it is killed or told to stop. */
export async function actAsChild(open: (options: PartyOptions) => Promise<Party>): Promise<void> {
  const { options, topic, name, does } = JSON.parse(process.argv.at(-1) ?? "") as ChildOrder;
  const party = await open(options);
  const stop = new AbortController();
  const finish = new AbortController();
  process.on("message", (message: ChildMessage) => {
    if (message === "finish") finish.abort();
    else stop.abort();
  });
  process.once("disconnect", () => process.exit());
  const tell = (batch: ChildBatch) =>
    new Promise<void>((sent) => process.send?.(batch, () => sent()));
  for (let n = 1; does === "publish"; n++) {
    const events = [change("x", n)];
    await party.topics.publish(topic, events, { signal: stop.signal });
    await tell({ events, redelivered: false });
  }
  await party.topics.consume(
    topic,
    name,
    async (events, { redelivered }) => {
      await tell({ events, redelivered });
      if (does === "hang" && !finish.signal.aborted) await once(finish.signal, "abort");
      if (does === "block") standStill(3 * options.leaseMs);
    },
    { signal: stop.signal },
  );
  await party.topics.close(1_000);
  await party.state.close();
  process.disconnect();
}

function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
