import { randomUUID } from "node:crypto";
import { RetryableError } from "../errors.ts";
import type { Fence, StateStore, StateWrite } from "../state/state.ts";

/**
 * Leave to write for 2 s, by the clock of the place itself: what reaches it later, because it stood still meanwhile, does
 * nothing. So whoever has given up waiting knows that nothing comes of it.
 */
export interface Permit {
  /** All or none, once: false where an `expect` did not match. Throws `RetryableError` `state.late` when the time is over. */
  readonly write: (writes: readonly StateWrite[], fence?: Fence) => Promise<boolean>;
}

const permitMs = 2_000;

export async function openPermit(state: StateStore): Promise<Permit> {
  const key = `@permits/${randomUUID()}`;
  const askedAt = performance.now();
  await state.each([{ key, value: true, ttlMs: permitMs }]);
  if (performance.now() - askedAt > permitMs) throw late();
  return {
    write: async (writes, fence) => {
      if (await state.all([...writes, { key, value: undefined, expect: 1 }], fence)) return true;
      const [permit] = await state.get([key]);
      if (!permit) throw late();
      return false;
    },
  };
}

function late(): RetryableError {
  return new RetryableError("state: it took too long to answer: nothing was changed.", {
    code: "state.late",
    reason: "unreachable",
    fix: "Try again.",
  });
}
