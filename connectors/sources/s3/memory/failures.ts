import { z, type StateStore, type StateWrite } from "sluice";

/**
 * Objects that could not be read, each in the state that it failed in. One that fails by itself, while the
 * store answers, must neither hold up the source for ever nor be asked for at every listing.
 */
export interface Failures {
  /** It failed so often that it is left alone for now: why. In this state, where one is given. */
  readonly resting: (key: string, fingerprint?: string) => string | undefined;
  readonly has: (key: string) => boolean;
  /** One more look failed. How many in a row did, at this state of it: the last known one, where none is given. */
  readonly failed: (
    key: string,
    fingerprint: string | undefined,
    reason: string,
  ) => Promise<number>;
  /** Those that are to be tried again by now, each once until it fails again: nobody else may come back to them. */
  readonly due: () => readonly string[];
  /** Milliseconds until there is one; Infinity when none fails. */
  readonly dueInMs: () => number;
  readonly count: () => number;
  /** These can be read, or are gone. The writes belong to the batch that tells of it. */
  readonly mended: (keys: readonly string[]) => readonly StateWrite[];
}

/** Looks in a row that fail before it is the object's own fault. */
export const maxLooks = 3;
const firstRestMs = 60_000;
/** Between the looks before that. */
const firstRetryMs = 5_000;
const maxRestMs = 24 * 3_600_000;
const prefix = "f/";
/** A state that was not seen to fail for so long is news again. */
const ttlMs = 7 * maxRestMs;
const maxRemembered = 10_000;

const entry = z.object({
  fingerprint: z.string(),
  looks: z.number(),
  reason: z.string(),
  /** `Date.now()` of the last look. */
  at: z.number(),
});

export async function openFailures(state: StateStore, now = Date.now): Promise<Failures> {
  const failing = new Map<string, z.output<typeof entry>>();
  for await (const page of state.scan(prefix))
    for (const { key, value } of page) {
      const found = entry.safeParse(value);
      if (found.success) failing.set(key.slice(prefix.length), found.data);
    }
  const tried = new Set<string>();
  /** As long as it has been failing, about: an outage that only looked like the object's fault passes. */
  const restMs = ({ looks }: z.output<typeof entry>) =>
    looks < maxLooks
      ? firstRetryMs * 2 ** (looks - 1)
      : Math.min(maxRestMs, firstRestMs * 2 ** (looks - maxLooks));
  const leftMs = (one: z.output<typeof entry>) => {
    const sinceMs = now() - one.at;
    return sinceMs < 0 ? 0 : Math.max(0, restMs(one) - sinceMs); // the clock was set back
  };
  let nextAt = 0;

  return {
    resting: (key, fingerprint) => {
      const one = failing.get(key);
      if (!one || one.looks < maxLooks) return undefined;
      if (fingerprint !== undefined && one.fingerprint !== fingerprint) return undefined;
      return leftMs(one) > 0 ? one.reason : undefined;
    },
    has: (key) => failing.has(key),
    due: () => {
      if (now() < nextAt) return [];
      const keys = [...failing].flatMap(([key, one]) =>
        !tried.has(key) && leftMs(one) === 0 ? [key] : [],
      );
      for (const key of keys) tried.add(key);
      const left = [...failing].flatMap(([key, one]) => (tried.has(key) ? [] : [leftMs(one)]));
      nextAt = now() + Math.min(...left);
      return keys;
    },
    dueInMs: () => Math.max(0, nextAt - now()),
    count: () => failing.size,
    failed: async (key, given, reason) => {
      const before = failing.get(key);
      const fingerprint = given ?? before?.fingerprint ?? "";
      tried.delete(key);
      nextAt = 0;
      const looks = before?.fingerprint === fingerprint ? before.looks + 1 : 1;
      const value = { fingerprint, looks, reason, at: now() };
      failing.delete(key);
      failing.set(key, value);
      const writes: StateWrite[] = [{ key: prefix + key, value, ttlMs }];
      const [oldest] = failing.keys();
      if (failing.size > maxRemembered && oldest !== undefined) {
        failing.delete(oldest);
        writes.push({ key: prefix + oldest, value: undefined });
      }
      await state.each(writes);
      return looks;
    },
    mended: (keys) =>
      keys.flatMap((key) => {
        tried.delete(key);
        return failing.delete(key) ? [{ key: prefix + key, value: undefined }] : [];
      }),
  };
}
