import type { Log } from "../connector.ts";
import { ConfigError, FencedError, PoisonError, RetryableError, SuspectError } from "../errors.ts";
import type { SluiceEvent } from "../event.ts";
import { backoff } from "./backoff.ts";
import type { Board } from "./board.ts";
import { firstOther } from "./first-other.ts";
import { StageFailure, type Failure } from "./failure.ts";

/** How often a call the other side refuses to serve is tried: it needs a person. */
const refusedDelayMs = 30_000;

export interface Delivery {
  /** One try: through the transforms and into the sink. Returns the events that failed; throws `StageFailure` when the call as a whole did. */
  readonly attempt: (events: readonly SluiceEvent[]) => Promise<readonly Failure[]>;
  /** Resolves when the letter is durable. */
  readonly bury: (
    event: SluiceEvent,
    failure: Omit<Failure, "at">,
    attempts: number,
    firstAt: Date,
  ) => Promise<void>;
  /** Tries an event that waits behind these, to tell a poisoned one from an outage: whether it succeeded. It comes again in its turn. */
  readonly probe: () => Promise<boolean>;
  readonly retry: { readonly attempts: number; readonly maxDelayMs: number };
  /** When anything of this connector last succeeded. */
  readonly health: { succeededAt: number };
  readonly board: Pick<Board, "become" | "meter" | "trouble">;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/**
 * Brings events to the other side, whatever it takes: returns when each of them is written or a dead
 * letter (Invariant 8). What the error says decides:
 *
 * - retryable: wait and try again, for as long as it takes;
 * - poison: a dead letter if it is alone, else halve and try both;
 * - foreign: retried, then halved; what is left becomes a dead letter only if another event succeeded
 *   since it began to fail, if need be one that is tried for that, and it was tried once more after.
 *   If all fail it is an outage: hold. A `SuspectError` says that something else just succeeded.
 *
 * Throws when the work is to be handed back: aborted, fenced, or a `ConfigError`.
 */
export async function deliver(events: readonly SluiceEvent[], delivery: Delivery): Promise<void> {
  if (events.length === 0) return;
  const { bury, probe, retry, health, board, log, signal } = delivery;
  const firstAt = new Date();
  let pending = events;
  let foreignTries = 0;
  let failingSince = Infinity;

  for (let tries = 1; ; tries++) {
    signal.throwIfAborted();
    // Before the try: of one that was on its way while an outage ended, success elsewhere proves nothing.
    const otherSucceeded = health.succeededAt >= failingSince;
    const { failures, isOfAll } = await tried(pending, delivery);
    failingSince = Math.min(failingSince, performance.now());
    if (failures.length < pending.length) health.succeededAt = performance.now();
    const [first] = failures;
    if (!first) return board.become("running");

    if (failures.some(isForeign)) foreignTries += 1;
    const isSpent = foreignTries >= retry.attempts;
    const isGivenUp = (failure: Failure) =>
      failure.error instanceof PoisonError || (isSpent && isForeign(failure));
    if (isOfAll && isGivenUp(first)) return await halves(pending, delivery);

    const again: Failure[] = [];
    for (const failure of failures.toSorted((a, b) => a.at - b.at)) {
      const event = pending[failure.at];
      if (!event) continue;
      const isProven = otherSucceeded || failure.error instanceof SuspectError;
      if (isForeign(failure) ? isSpent && isProven : isGivenUp(failure))
        await bury(event, failure, tries, firstAt);
      else again.push(failure);
    }
    const [left] = again;
    if (!left) return board.become("running");
    pending = again.flatMap(({ at }) => pending[at] ?? []);
    if (again.some(isGivenUp) && (await probe())) {
      health.succeededAt = performance.now();
      continue; // an outage may have ended just now: once more before it is these events' fault
    }

    board.trouble("failing", left.error);
    board.meter("retries", 1);
    const { stage, error } = left;
    log.warn({ stage, error, tries, events: pending.length }, "delivery failed, trying again");
    const atLeastMs = Math.max(...again.map(({ error }) => patience(error)));
    await backoff(tries - 1, { maxDelayMs: retry.maxDelayMs, atLeastMs, signal });
  }
}

/** One try: what failed of it, and whether several failed as one, so that it may be the fault of any of them. */
async function tried(
  events: readonly SluiceEvent[],
  { attempt, signal }: Delivery,
): Promise<{ readonly failures: readonly Failure[]; readonly isOfAll: boolean }> {
  try {
    return { failures: await attempt(events), isOfAll: false };
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    const stage = thrown instanceof StageFailure ? thrown.stage : "runner";
    const error: unknown = thrown instanceof StageFailure ? thrown.cause : thrown;
    if (error instanceof FencedError || error instanceof ConfigError) throw error;
    return { failures: events.map((_, at) => ({ at, stage, error })), isOfAll: events.length > 1 };
  }
}

/** Neither says what to do: it may be the event's fault, or that of the whole other side. */
function isForeign({ error }: Failure): boolean {
  return !(error instanceof RetryableError) && !(error instanceof PoisonError);
}

/** Each half serves as the other's probe, by an event of another key (Invariant 2): what was written may be written again, what was not comes again in its turn. */
async function halves(events: readonly SluiceEvent[], delivery: Delivery): Promise<void> {
  const middle = events.length >> 1;
  const [first, second] = [events.slice(0, middle), events.slice(middle)];
  const probing = (own: readonly SluiceEvent[], others: readonly SluiceEvent[]): Delivery => ({
    ...delivery,
    // The whole was tried often enough: a half that fails is halved at once.
    retry: { ...delivery.retry, attempts: 1 },
    probe: async () => {
      const other = firstOther(others, own, { partitions: 1 });
      return (other && (await succeeds([other], delivery))) || (await delivery.probe());
    },
  });
  await deliver(first, probing(first, second));
  await deliver(second, probing(second, first));
}

/** One try, of which nothing is told. */
export async function succeeds(
  events: readonly SluiceEvent[],
  { attempt, signal }: Pick<Delivery, "attempt" | "signal">,
): Promise<boolean> {
  if (events.length === 0) return false;
  try {
    return (await attempt(events)).length === 0;
  } catch (error) {
    signal.throwIfAborted();
    const cause: unknown = error instanceof StageFailure ? error.cause : error;
    if (cause instanceof FencedError || cause instanceof ConfigError) throw error;
    return false; // whatever it is, it is told when its turn comes
  }
}

/** The shortest wait an error asks for. */
function patience(error: unknown): number {
  if (!(error instanceof RetryableError)) return 0;
  return error.retryAfterMs ?? (error.reason === "refused" ? refusedDelayMs : 0);
}
