import { z, type StateStore, type StateWrite, type Version } from "sluice";

/**
 * A crash between publishing a batch and storing it leaves the sinks ahead of the memory, and the
 * objects may change back, or go, before we look again. So each batch is announced first. What a batch
 * announced and did not store is in doubt: whatever is there now is to be emitted.
 */
export interface Doubts {
  /** Keys that earlier runs left in doubt and that were not settled since. */
  readonly keys: () => readonly string[];
  readonly has: (key: string) => boolean;
  /** Stores what the batch is about. The write it returns belongs to the batch and takes that back. */
  readonly announce: (keys: readonly string[], lowest: Version) => Promise<readonly StateWrite[]>;
  /** These are in doubt from now on, though no batch was about them. */
  readonly keep: (keys: readonly string[], nextVersion: () => Version) => Promise<void>;
  /** These are emitted by the batch that the writes belong to. */
  readonly settle: (keys: readonly string[]) => readonly StateWrite[];
}

const prefix = "b/";

export async function openDoubts(state: StateStore): Promise<Doubts> {
  const announced = new Map<string, Set<string>>();
  for await (const page of state.scan(prefix))
    for (const { key, value } of page)
      announced.set(key, new Set(z.array(z.string()).parse(value)));
  const doubted = new Set([...announced.values()].flatMap((keys) => [...keys]));

  return {
    keys: () => [...doubted],
    has: (key) => doubted.has(key),
    announce: async (keys, lowest) => {
      // Versions are never used twice: a process that lost its lease cannot overwrite this.
      const key = prefix + lowest;
      await state.each([{ key, value: [...keys] }]);
      return [{ key, value: undefined }];
    },
    keep: async (keys, nextVersion) => {
      const fresh = keys.filter((key) => !doubted.has(key));
      if (fresh.length === 0) return;
      const key = prefix + nextVersion();
      await state.each([{ key, value: fresh }]);
      announced.set(key, new Set(fresh));
      for (const one of fresh) doubted.add(one);
    },
    settle: (keys) => {
      if (doubted.size === 0) return [];
      for (const key of keys) doubted.delete(key);
      const done = [...announced].filter(([, all]) => [...all].every((key) => !doubted.has(key)));
      for (const [key] of done) announced.delete(key);
      return done.map(([key]) => ({ key, value: undefined }));
    },
  };
}
