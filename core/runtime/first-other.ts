import type { JsonObject, SluiceEvent } from "../event.ts";
import { matchesFilter } from "../filter.ts";
import { keyOf, partitionOf } from "../queue/partition.ts";

/**
 * The first of the `waiting` events that may be handled before `held`, the events of one partition: of that
 * partition, so that nothing older of its key is on its way, and of a key that none of them has (Invariant 2).
 */
export function firstOther(
  waiting: readonly SluiceEvent[],
  held: readonly SluiceEvent[],
  { partitions, filter }: { readonly partitions: number; readonly filter?: JsonObject | undefined },
): SluiceEvent | undefined {
  const [one] = held;
  if (!one) return undefined;
  const partition = partitionOf(one, partitions);
  const keys = new Set(held.map(keyOf));
  return waiting.find(
    (event) =>
      event.type !== "dev.sluice.collection.cleared" &&
      partitionOf(event, partitions) === partition &&
      !keys.has(keyOf(event)) &&
      (!filter || matchesFilter(filter, event)),
  );
}
