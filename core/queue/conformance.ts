import { contents } from "./conformance/contents.ts";
import { full } from "./conformance/full.ts";
import { interruptions } from "./conformance/interruptions.ts";
import { order } from "./conformance/order.ts";
import { processes } from "./conformance/processes.ts";
import { subscriptions } from "./conformance/subscriptions.ts";
import { taps } from "./conformance/taps.ts";
import { openWorld, type Party, type PartyOptions, type Tested } from "./conformance/world.ts";

export type { Party, PartyOptions };

export interface Case {
  readonly name: string;
  readonly run: () => Promise<void>;
}

const cases = [
  ...order,
  ...processes,
  ...interruptions,
  ...full,
  ...subscriptions,
  ...contents,
  ...taps,
];

/**
 * What every implementation of `Topics` must keep.
 *
 * - `open` opens the same place each time: opened twice, the two play two processes. Every topic has
 *   the settings in its options.
 * - `child` is a script that calls `actAsChild` on that same place; it gets `childArguments`, then its order.
 *
 * Cases use topics of their own and may share a place.
 */
export function queueConformance(backend: Tested): readonly Case[] {
  return cases.map(([name, run], at) => ({
    name,
    run: async () => {
      const world = openWorld(backend, `case-${at}`);
      try {
        await run(world);
      } finally {
        await world.end();
      }
    },
  }));
}
