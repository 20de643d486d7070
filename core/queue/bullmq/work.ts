import { WaitingError, type Job } from "bullmq";
import type { Log, WriteRun } from "../../connector.ts";
import { FencedError } from "../../errors.ts";
import type { RedisClient } from "../../state/redis/client.ts";
import { backoffMs, pause, type Tenure } from "../assign.ts";
import type { Handle } from "../queue.ts";
import { orAbort } from "./add.ts";
import { openJobEvents, type JobData } from "./events.ts";
import type { Refusals } from "../refusals.ts";
import type { QueueNames } from "./names.ts";
import type { CurrentRun } from "./server-run.ts";
import { PartitionWorker } from "./worker.ts";

export interface Work {
  readonly client: RedisClient;
  readonly names: QueueNames;
  readonly tenure: Tenure;
  readonly handle: Handle;
  readonly currentRun: CurrentRun;
  readonly leaseMs: number;
  readonly writeTimeoutMs: number;
  readonly refusals: Refusals;
  /** Aborts when nothing may be waited for any longer. */
  readonly abandon: AbortSignal;
  readonly log: Log;
}

/**
 * Handles the jobs of one partition, one at a time, while its lease is held. Retries happen here and
 * nowhere else, and nothing but `WaitingError` leaves the processor: BullMQ would put a failed job
 * aside and go on with the next one.
 */
export async function workPartition(work: Work): Promise<void> {
  const { client, names, tenure, handle, leaseMs, writeTimeoutMs, refusals, log } = work;
  const { lease } = tenure;
  const stop = new AbortController();
  const jobEvents = openJobEvents(work);
  let lockedUntil = 0;
  let inherited = lease.inherited;
  let closing: Promise<void> | undefined;
  let running: Promise<void> = Promise.resolve();

  const end = () => {
    stop.abort();
    // Before a job is handed back, or this worker would take it again.
    closing ??= close(worker, work);
  };

  const processJob = async (job: Job<JobData, void>, token?: string): Promise<void> => {
    const ageMs = Math.max(0, Date.now() - (job.processedOn ?? 0));
    lockedUntil = performance.now() - ageMs + leaseMs;
    const call = {};
    // Not `attemptsStarted`: a batch that was handed back in order has nothing on the wire.
    const known = inherited || job.stalledCounter > 0;
    inherited = false;
    for (let tries = 0; !stop.signal.aborted; tries++)
      try {
        const events = await orAbort(jobEvents.read(job.id ?? "", job.data), stop.signal);
        if (events) await handle(events, runOf(known || tries > 0));
        if (lease.signal.aborted) break; // lost meanwhile: whoever has it now must see this batch again
        return;
      } catch (error) {
        if (error instanceof FencedError) end();
        if (stop.signal.aborted) break;
        if (!refusals.note(call, error))
          log.error({ ...names, tries, error }, "batch failed, will be repeated");
        await pause(backoffMs(tries), stop.signal);
        refusals.forget(call);
      }
    // Refused, harmlessly, if somebody else has the job by now. Without Redis its lock runs out instead.
    if (client.status === "ready")
      await job.moveToWait(token).catch((error: unknown) => {
        log.debug({ ...names, reason: String(error) }, "batch was not handed back");
      });
    throw new WaitingError();
  };

  const runOf = (redelivered: boolean): WriteRun => ({
    signal: stop.signal,
    fence: { lease: lease.lease, token: lease.token },
    get deadline() {
      return Math.min(lease.until(), lockedUntil) - writeTimeoutMs;
    },
    redelivered,
  });

  const worker = new PartitionWorker(
    names.queue,
    (job: Job<JobData, void>, token) => (running = processJob(job, token)),
    {
      connection: client,
      prefix: names.prefix,
      skipVersionCheck: true,
      concurrency: 1,
      lockDuration: leaseMs,
      stalledInterval: leaseMs / 2,
      maxStalledCount: 1_000_000_000, // a process that crashes again and again must not turn data into failed jobs
      drainDelay: 1,
      removeOnComplete: { count: 16 },
    },
    {
      renewed: (until) => (lockedUntil = Math.max(lockedUntil, until)),
      lost: end,
    },
  );
  worker.on("error", (error) => log.debug({ ...names, reason: error.message }, "worker error"));
  // BullMQ remembers the last jobs, so that a repeated add finds its first; their events need not stay.
  worker.on("completed", ({ id = "", data }) => jobEvents.forget(id, data));
  worker.on("drained", () => void jobEvents.flush());

  tenure.signal.addEventListener("abort", end, { once: true });
  if (tenure.signal.aborted) end();
  await aborted(stop.signal);
  await Promise.race([running.catch(() => {}), aborted(work.abandon)]); // it rejects with WaitingError only
  await closing;
  await orAbort(jobEvents.flush(), work.abandon).catch(() => {}); // abandoned: swept later
}

/**
 * An orderly close waits for the running batch, and hangs for ever when Redis is away: then, or when
 * it goes away meanwhile, the worker's own connection is cut and its job left to the stalled check.
 */
async function close(worker: PartitionWorker, { client, leaseMs, abandon, log, names }: Work) {
  const closed = worker.close(client.status !== "ready").catch((error: unknown) => {
    log.debug({ ...names, reason: String(error) }, "worker did not close in order");
  });
  const done = new AbortController();
  const cut = async () => (await worker.getBackend().blockingClient)?.disconnect();
  await Promise.race([
    closed.then(() => done.abort()),
    pause(leaseMs, AbortSignal.any([done.signal, abandon])),
  ]);
  if (!done.signal.aborted) void cut().catch(() => {}); // never connected: nothing to cut
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
