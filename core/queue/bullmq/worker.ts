import { setTimeout as sleep } from "node:timers/promises";
import { WaitingError, Worker, type Job, type Processor, type WorkerOptions } from "bullmq";
import type { JobData } from "./events.ts";

export interface LockWatch {
  /** `performance.now()` until which the running job's lock is certainly ours. */
  readonly renewed: (until: number) => void;
  readonly lost: () => void;
}

/** BullMQ's worker, with a lock clock of our own and no way to the failed jobs. */
export class PartitionWorker extends Worker<JobData, void> {
  readonly #watch: LockWatch;

  constructor(
    name: string,
    processor: Processor<JobData, void>,
    options: WorkerOptions,
    watch: LockWatch,
  ) {
    super(name, processor, options);
    this.#watch = watch;
  }

  /** A lock runs from when its renewal was sent; BullMQ's own events come after the answer, or never. */
  override async extendJobLocks(ids: string[], tokens: string[], duration: number) {
    const sentAt = performance.now();
    const failed = await super.extendJobLocks(ids, tokens, duration);
    if (failed.length > 0) this.#watch.lost();
    else this.#watch.renewed(sentAt + duration);
    return failed;
  }

  /** BullMQ asks again at once when Redis refuses (it is full): that would spin. */
  protected override async moveToActive(token: string, name?: string) {
    try {
      return await super.moveToActive(token, name);
    } catch (error) {
      await sleep(250);
      throw error;
    }
  }

  /** Also reached when completing was refused: the job then stays active, and is given out again when its lock has run out. */
  protected override handleFailed(
    error: Error,
    job: Job<JobData, void>,
    token: string,
    fetchNext?: () => boolean,
  ) {
    const kept = error instanceof WaitingError ? error : new WaitingError(error.message);
    return super.handleFailed(kept, job, token, fetchNext);
  }
}
