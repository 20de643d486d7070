import { RetryableError } from "../errors.ts";

/**
 * What a queue refuses at the moment, call by call: a call that is tried until it succeeds tells of its failures here, for
 * the status, instead of logging each of them.
 */
export interface Refusals {
  /** The call failed, and is tried again. False where the error is none that passes by itself: somebody has to hear of it. */
  readonly note: (call: object, error: unknown) => boolean;
  /** It succeeded, or is tried no more. */
  readonly forget: (call: object) => void;
  /** Throws what is refused, of several calls the first. */
  readonly check: () => void;
}

export function openRefusals(): Refusals {
  const refused = new Map<object, RetryableError>();
  return {
    note: (call, error) => {
      if (!(error instanceof RetryableError)) return false;
      refused.set(call, error);
      return true;
    },
    forget: (call) => void refused.delete(call),
    check: () => {
      for (const error of refused.values()) throw error;
    },
  };
}
