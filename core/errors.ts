import type { Finding } from "./connector.ts";

/** On the prototype of every copy's errors, whatever its version. */
const family = Symbol.for("sluice.error");

/**
 * The root of every error Sluice throws on purpose. A message names the owner, what is wrong (with
 * the value) and nothing secret; `fix` is an imperative; `code` is API (see docs/errors.md).
 */
export class SluiceError extends Error {
  override readonly name: string = "SluiceError";
  readonly code: string;
  readonly fix?: string;
  /**
   * Also true of what another copy of Sluice made, by class name: npm may install one beside a connector, and a
   * throttled model must not look like a bug because of it.
   */
  static override [Symbol.hasInstance](value: unknown): boolean {
    if (Function.prototype[Symbol.hasInstance].call(this, value)) return true;
    if (!(value instanceof Error) || !(family in value)) return false;
    return this.name === "SluiceError" || this.name === value.name;
  }
  constructor(message: string, options: { code: string; fix?: string; cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    if (options.fix !== undefined) this.fix = options.fix;
  }
}
Object.defineProperty(SluiceError.prototype, family, { value: true });

/**
 * Try again later, for as long as it takes; never a dead letter. `throttled` and `unreachable` back
 * off; `refused` (401, 402, 403, a missing index) needs a person, and is probed every 30 s.
 */
export class RetryableError extends SluiceError {
  override readonly name = "RetryableError";
  readonly reason: "throttled" | "unreachable" | "refused";
  /** Milliseconds the other side asked us to wait. */
  readonly retryAfterMs?: number;
  constructor(
    message: string,
    options: {
      code: string;
      reason: "throttled" | "unreachable" | "refused";
      retryAfterMs?: number;
      fix?: string;
      cause?: unknown;
    },
  ) {
    super(message, options);
    this.reason = options.reason;
    if (options.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs;
  }
}

/** This event can never succeed: it becomes a dead letter and the others go on. */
export class PoisonError extends SluiceError {
  override readonly name = "PoisonError";
}

/**
 * This event fails, and the other side was seen to serve another request just after: tried as often as any foreign error
 * (`retry.attempts`), it becomes a dead letter, and the others go on.
 */
export class SuspectError extends SluiceError {
  override readonly name = "SuspectError";
}

/**
 * Some events of a call failed: their index in the call → why. Events not named are done. Of an error that is neither
 * retryable nor poison the runner finds out whether its event is to blame.
 */
export class PartialError extends SluiceError {
  override readonly name = "PartialError";
  readonly failures: ReadonlyMap<number, SluiceError>;
  constructor(
    message: string,
    options: { code: string; failures: ReadonlyMap<number, SluiceError> },
  ) {
    super(message, options);
    this.failures = options.failures;
  }
}

/** The configuration is wrong: the connector stops until it gets another one. */
export class ConfigError extends SluiceError {
  override readonly name = "ConfigError";
  /** Every problem found, not only the first. */
  readonly findings: readonly Finding[];
  constructor(
    message: string,
    options: { code: string; findings?: readonly Finding[]; fix?: string; cause?: unknown },
  ) {
    super(message, options);
    this.findings = options.findings ?? [];
  }
}

/**
 * The origin no longer holds the changes after our checkpoint (Invariant 10). The connector's
 * `onGap` decides: `fail` stops it; `resnapshot` reads again without a checkpoint.
 */
export class PositionLostError extends SluiceError {
  override readonly name = "PositionLostError";
}

/** This process no longer owns the work it was doing: hand it back and say nothing. */
export class FencedError extends SluiceError {
  override readonly name = "FencedError";
}
