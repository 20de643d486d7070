import { isRecordChange, type SluiceEvent } from "../event.ts";

/** FNV-1a over the UTF-16 code units of the partition key: cheap, and stable for ever (it places data). */
export function partitionOf(event: SluiceEvent, partitions: number): number {
  return hash(keyOf(event)) % partitions;
}

/**
 * Shares events out to `partitions`, keeping their order. A clear goes to every partition: a fresh
 * one gets a scope and `/p` behind its id. A copy that has a scope already keeps both, and goes where keys
 * that it governs can be.
 */
export function spread(
  events: readonly SluiceEvent[],
  partitions: number,
): ReadonlyMap<number, readonly SluiceEvent[]> {
  const shares = new Map<number, SluiceEvent[]>();
  const give = (partition: number, event: SluiceEvent) => {
    const share = shares.get(partition);
    if (share) share.push(event);
    else shares.set(partition, [event]);
  };
  for (const event of events) {
    if (!isRecordChange(event) || event.type !== "dev.sluice.collection.cleared") {
      give(partitionOf(event, partitions), event);
      continue;
    }
    const { scope } = event.data;
    for (let partition = 0; partition < partitions; partition++) {
      if (!scope)
        give(partition, {
          ...event,
          id: `${event.id}/${partition}`,
          data: { ...event.data, scope: { partition, of: partitions } },
        });
      else if (canMeet(scope, partition, partitions)) give(partition, event);
    }
  }
  return shares;
}

/** True when a scoped clear governs the key: the rule every reader of `scope` applies. */
export function inScope(
  partitionkey: string,
  scope: { readonly partition: number; readonly of: number } | undefined,
): boolean {
  return scope === undefined || hash(partitionkey) % scope.of === scope.partition;
}

/**
 * True where some number leaves both remainders: without it, copies would multiply at every hop. Of as many partitions
 * as before it is the same one alone.
 */
function canMeet(
  scope: { readonly partition: number; readonly of: number },
  partition: number,
  partitions: number,
): boolean {
  return (scope.partition - partition) % greatestDivisor(scope.of, partitions) === 0;
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}

/** What order is kept by. */
export function keyOf(event: SluiceEvent): string {
  const key = event["partitionkey"];
  return typeof key === "string" ? key : event.id;
}

function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at++)
    value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  return value >>> 0;
}
