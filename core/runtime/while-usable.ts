import { setTimeout as sleep } from "node:timers/promises";
import type { Backend } from "../backend.ts";
import { RetryableError } from "../errors.ts";

const lookEveryMs = 250;

/**
 * What `work` comes to, or, where queue or state are away, why: nobody is to wait for as long as that lasts. Given up, it
 * begins no other call of theirs.
 */
export async function whileUsable<T>(
  backend: Backend,
  work: (backend: Backend) => Promise<T>,
): Promise<T> {
  throwIfAway(backend);
  const over = new AbortController();
  const watch = async () => {
    for (;;) {
      await sleep(lookEveryMs, undefined, { signal: over.signal });
      throwIfAway(backend);
    }
  };
  try {
    return await Promise.race([work(withdrawable(backend, over.signal)), watch()]);
  } finally {
    over.abort(new Error("given up"));
  }
}

/** One that is full, or refuses something, still answers: that is told by whoever needs what it refuses. */
function throwIfAway({ outage }: Backend): void {
  const error = outage()?.error;
  if (error instanceof RetryableError && error.code === "redis.unreachable") throw error;
}

/** The same, each call of which is refused once the signal aborts. */
function withdrawable(backend: Backend, signal: AbortSignal): Backend {
  const guarded = <T extends object>(calls: T): T =>
    Object.fromEntries(
      Object.entries(calls).map(([name, call]: [string, (...args: unknown[]) => unknown]) => [
        name,
        (...args: unknown[]) => {
          signal.throwIfAborted();
          return call(...args);
        },
      ]),
    ) as T; // the same members: each of them is a function
  const { topics, state, deadLetters } = backend;
  return {
    ...backend,
    topics: guarded(topics),
    deadLetters: guarded(deadLetters),
    state: {
      ...state,
      scope: (name) => {
        const scope = state.scope(name);
        return { ...scope, state: guarded(scope.state), leases: guarded(scope.leases) };
      },
    },
  };
}
