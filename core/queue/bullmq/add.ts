import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "../../connector.ts";
import { FencedError } from "../../errors.ts";
import { toRedisError } from "../../state/redis/connect.ts";
import type { Fence } from "../../state/state.ts";
import { backoffMs } from "../assign.ts";
import type { Refusals } from "../refusals.ts";
import { newJobId, type NewJob } from "./new-jobs.ts";
import type { PartitionQueue } from "./queues.ts";
import { restarted } from "./server-run.ts";

/** Backlogs are asked for every so many jobs: once a job would cost a round trip a job. */
const jobsBetweenCounts = 10;
const maxPollMs = 250;

/**
 * Adds jobs to one queue, one at a time and in order. While an add fails, the very same job is tried
 * again, and while a fail-over may have taken it back: nothing of the partition passes it. Waits while `maxWaiting` jobs wait, until half are left; where it is
 * not to wait it resolves to "full", having added only a part.
 */
export interface Adder {
  readonly add: (jobs: readonly NewJob[], run: AddRun) => Promise<"done" | "full">;
}

interface AddRun {
  readonly signal: AbortSignal;
  readonly mayWait: boolean;
  /** The run of the server outside of which nothing is added (`redis.restarted`); empty: whatever it is. */
  readonly serverRun: string;
  readonly fence?: Fence;
}

export function openAdder(options: {
  readonly queue: PartitionQueue;
  readonly maxWaiting: number;
  readonly refusals: Refusals;
  readonly log: Log;
}): Adder {
  const { queue, maxWaiting, refusals, log } = options;
  let room = 0;

  async function makeRoom(signal: AbortSignal, mayWait: boolean): Promise<void> {
    let waiting = await queue.waiting();
    if (waiting >= maxWaiting && !mayWait) return;
    if (waiting >= maxWaiting) {
      log.debug({ waiting }, "subscription is full: publishing waits");
      for (let pollMs = 10; waiting > maxWaiting / 2; pollMs = Math.min(pollMs * 1.5, maxPollMs)) {
        await sleep(pollMs, undefined, { signal });
        waiting = await queue.waiting();
      }
    }
    room = Math.max(1, Math.min(jobsBetweenCounts, maxWaiting - waiting));
  }

  /** Invariant 1: what follows (a checkpoint, an acknowledgement, the next job) may lie on another server, or come to this one. */
  async function addOne(job: NewJob, { signal, serverRun, fence }: AddRun): Promise<void> {
    let { id } = job;
    let last: string | undefined;
    const add = async (history: string) => {
      signal.throwIfAborted(); // it may be another's turn since the last try
      if (last !== undefined && last !== history) {
        // Part of it may be there: a job without its events, which was passed over and hides what has its id.
        const before = id;
        id = newJobId();
        log.info(
          { before, id },
          "redis failed over: a batch that it may have lost is published again",
        );
      }
      last = history;
      await queue.add({ ...job, id }, { serverRun, history, ...(fence && { fence }) });
    };
    await insist(() => queue.kept(add), { signal, refusals });
  }

  return {
    add: async (jobs, run) => {
      const { signal, mayWait } = run;
      for (const job of jobs) {
        if (room <= 0) await insist(() => makeRoom(signal, mayWait), { signal, refusals });
        if (room <= 0) return "full";
        room--;
        await addOne(job, run);
      }
      return "done";
    },
  };
}

/** Runs until it succeeds. An outage is no reason to lose events, so only an abort ends it, a server in another run, or a successor. */
export async function insist<T>(
  run: () => Promise<T>,
  options: { readonly signal: AbortSignal; readonly refusals: Refusals },
): Promise<T> {
  const { signal, refusals } = options;
  const call = {};
  try {
    for (let tries = 0; ; tries++)
      try {
        signal.throwIfAborted();
        return await run();
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        if (error instanceof FencedError) throw error;
        const told = toRedisError(error);
        if (told.code === restarted().code) throw told;
        refusals.note(call, told);
        await sleep(backoffMs(tries), undefined, { signal });
        refusals.forget(call); // this try may wait for room, for as long as it takes
      }
  } finally {
    refusals.forget(call);
  }
}

/** A command may wait for Redis for ever; whoever aborts need not. */
export function orAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
