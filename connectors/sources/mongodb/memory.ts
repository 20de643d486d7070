import { z, type StateStore, type StateWrite } from "sluice";

/** What outlives the checkpoint: a position that is lost, or reset, takes that along. */
export interface Memory {
  /** It has run before. */
  readonly hasStarted: boolean;
  /** Counts up when cluster times start anew. */
  readonly epoch: number;
  /** To be stored with the first batch. */
  readonly start: readonly StateWrite[];
  /** Collections whose events are, or may be, downstream. */
  readonly collections: () => readonly string[];
  /** Before their first event is published: what is published must be known, whatever happens then. */
  readonly announce: (names: Iterable<string>) => Promise<void>;
  /** To be stored with the clear of a collection that is gone. */
  readonly forget: (name: string) => StateWrite;
  /** A number for a pass, above all before. */
  readonly nextPass: () => Promise<number>;
  /** Cluster times are no longer comparable, for this reason; the same reason counts once. */
  readonly begin: (reason: string) => Promise<void>;
}

const startKey = "started";
const epochKey = "epoch";
const passKey = "passes";
const collectionPrefix = "c/";
const epochShape = z.object({ epoch: z.number().int(), reason: z.string() });

export async function openMemory(state: StateStore): Promise<Memory> {
  const [started, stored, counted] = await state.get([startKey, epochKey, passKey]);
  let count = counted ? z.number().int().parse(counted.value) : 0;
  const { epoch, reason: last } = stored
    ? epochShape.parse(stored.value)
    : { epoch: 1, reason: "" };
  const names = new Set<string>();
  for await (const page of state.scan(collectionPrefix))
    for (const { key } of page) names.add(key.slice(collectionPrefix.length));

  return {
    hasStarted: started !== undefined,
    epoch,
    start: [{ key: startKey, value: true }],
    collections: () => [...names],
    announce: async (all) => {
      const fresh = [...all].filter((name) => !names.has(name));
      if (fresh.length === 0) return;
      await state.each(fresh.map((name) => ({ key: collectionPrefix + name, value: true })));
      for (const name of fresh) names.add(name);
    },
    forget: (name) => {
      names.delete(name);
      return { key: collectionPrefix + name, value: undefined };
    },
    nextPass: async () => {
      count += 1;
      await state.each([{ key: passKey, value: count }]);
      return count;
    },
    begin: async (reason) => {
      if (reason === last) return;
      await state.each([{ key: epochKey, value: { epoch: epoch + 1, reason } }]);
    },
  };
}
