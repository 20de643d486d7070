import { PartialError } from "../errors.ts";

/** One event of a call that failed. */
export interface Failure {
  /** In the call's events. */
  readonly at: number;
  /** The transform that refused it, or `write`. */
  readonly stage: string;
  readonly error: unknown;
}

/** A whole call failed: which stage did it, and why. Only the runner throws and catches it. */
export class StageFailure extends Error {
  readonly stage: string;
  override readonly cause: unknown;
  constructor(stage: string, cause: unknown) {
    super(`${stage} failed`);
    this.stage = stage;
    this.cause = cause;
  }
}

/**
 * Runs one stage's call. A `PartialError` comes back as failures; anything else is thrown with the
 * stage's name on it.
 */
export async function guarded<T>(
  stage: string,
  call: () => Promise<T>,
): Promise<{ readonly value: T } | { readonly failures: readonly Failure[] }> {
  try {
    return { value: await call() };
  } catch (error) {
    if (!(error instanceof PartialError)) throw new StageFailure(stage, error);
    return {
      failures: [...error.failures].map(([at, reason]) => ({ at, stage, error: reason })),
    };
  }
}
