import type { WriteRun } from "../../connector.ts";
import { FencedError } from "../../errors.ts";
import { backoffMs, pause, type Tenure } from "../assign.ts";
import type { Handle } from "../queue.ts";
import type { Acknowledgement, Place, Taken } from "./log.ts";

/** One partition of a subscription: what it is taken from and who handles it. */
export interface Share {
  readonly place: Place;
  readonly handle: Handle;
  readonly writeTimeoutMs: number;
  readonly hold: (place: Place, isOurs: () => boolean) => void;
  readonly take: (place: Place) => Taken | "lost" | undefined;
  readonly acknowledge: (done: Acknowledgement) => Promise<boolean>;
  /** Until there may be something to take, or an abort. */
  readonly wait: () => Promise<void>;
  readonly acknowledged: () => void;
  readonly failed: (error: unknown) => void;
  /** What failed is tried again now, or no more. */
  readonly waited: () => void;
}

/**
 * Hands over one batch at a time, in order, repeating each whole until it is handled and
 * acknowledged (Invariant 2). Resolves on abort and when somebody else holds the partition: what was
 * not acknowledged is then first for the next holder.
 */
export async function handOver(share: Share, { lease, signal }: Tenure): Promise<void> {
  const { place, handle, writeTimeoutMs } = share;
  let redelivered = lease.inherited;
  const run = (): WriteRun => ({
    signal,
    fence: { lease: lease.lease, token: lease.token },
    redelivered,
    get deadline() {
      return lease.until() - writeTimeoutMs;
    },
  });
  /** False when somebody else holds the partition. */
  const finish = async ({ events, position }: Taken): Promise<boolean> => {
    for (let tries = 0; ; tries++)
      try {
        await handle(events, run());
        if (lease.signal.aborted) return false; // handled too late: the next holder may have it already
        return await share.acknowledge({ place, position });
      } catch (error) {
        if (error instanceof FencedError || signal.aborted) return false;
        share.failed(error);
        redelivered = true;
        await pause(backoffMs(tries), signal);
        share.waited();
        if (signal.aborted) return false;
      }
  };

  share.hold(place, () => performance.now() < lease.until());
  while (!signal.aborted) {
    const taken = share.take(place);
    if (taken === "lost") return;
    if (taken === undefined) {
      await share.wait();
      continue;
    }
    if (!(await finish(taken))) return;
    redelivered = false;
    share.acknowledged();
  }
}
