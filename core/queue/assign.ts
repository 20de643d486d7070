import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "../connector.ts";
import type { Refusals } from "./refusals.ts";
import type { Lease, Scope } from "../state/state.ts";

/** One partition's run: `signal` aborts when the partition must be given up, whatever the reason. */
export interface Tenure {
  readonly lease: Lease;
  readonly signal: AbortSignal;
}

export interface Sharing {
  /** The subscription's connector: holds its members and the partitions' leases. */
  readonly scope: Scope;
  readonly topic: string;
  readonly partitions: number;
  /** How long members and partitions outlive a process that died. */
  readonly leaseMs: number;
  readonly refusals: Refusals;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Runs until its signal aborts. Rejecting is logged, and it runs again after a pause, in the same tenure. */
  readonly work: (partition: number, tenure: Tenure) => Promise<void>;
}

const pollMs = 250;
const maxPauseMs = 5_000;
/** How far the clocks of a subscription's machines may differ. */
const clockToleranceMs = 60_000;

/**
 * Runs `work` for this consumer's fair share of the partitions, each under a lease, until `signal`
 * aborts; then ends what runs and hands everything over at once.
 *
 * Consumers find each other by entries that expire. Everyone computes the same shares from the same
 * list, gives up what it has above its own and takes what is free below it.
 */
export async function sharePartitions(sharing: Sharing): Promise<void> {
  const { scope, topic, partitions, leaseMs, refusals, log, signal } = sharing;
  const held = new Map<number, Holding>();
  const membership = join(sharing);
  while (!signal.aborted) {
    try {
      const share = await membership.share();
      for (const holding of [...held.values()].slice(share)) holding.leave();
      for (let partition = 0; partition < partitions && held.size < share; partition++) {
        if (held.has(partition) || signal.aborted) continue;
        const lease = await scope.leases.acquire(`p/${topic}/${partition}`, leaseMs);
        if (!lease) continue;
        const holding = hold(sharing, partition, lease);
        held.set(partition, holding);
        void holding.ended.finally(() => held.delete(partition)); // `ended` never rejects
      }
      refusals.forget(sharing);
    } catch (error) {
      if (!refusals.note(sharing, error))
        log.warn({ topic, error }, "cannot share partitions: state does not answer");
    }
    await pause(Math.min(pollMs, leaseMs / 4), signal);
  }
  refusals.forget(sharing);
  await Promise.all([membership.leave(), ...[...held.values()].map(({ ended }) => ended)]);
}

/** How many live consumers a subscription has. */
export async function countConsumers(scope: Scope, topic: string): Promise<number> {
  return (await members(scope, topic)).length;
}

/** An entry that says we live, refreshed while we do. */
function join({ scope, topic, partitions, leaseMs, log }: Sharing) {
  // Sorts by age: who was there first keeps what cannot be split evenly, so a newcomer moves little.
  const me = `${Date.now().toString(36).padStart(9, "0")}-${randomUUID()}`;
  const key = membersOf(topic) + me;
  let refreshAt = 0;
  return {
    share: async (): Promise<number> => {
      if (performance.now() >= refreshAt) {
        const now = performance.now();
        await scope.state.each([
          { key, value: { pid: process.pid, at: Date.now() }, ttlMs: leaseMs },
        ]);
        refreshAt = now + leaseMs / 3;
      }
      const all = await members(scope, topic);
      const rank = all.indexOf(me);
      if (rank < 0) {
        refreshAt = 0; // We stood still for so long that we were given up.
        return 0;
      }
      return Math.floor(partitions / all.length) + (rank < partitions % all.length ? 1 : 0);
    },
    leave: async () => {
      try {
        await scope.state.each([{ key, value: undefined }]);
      } catch (error) {
        log.debug({ topic, error }, "consumer did not sign off; its entry expires");
      }
    },
  };
}

interface Holding {
  readonly leave: () => void;
  /** Settles, never rejecting, when the work has ended and the lease is released. */
  readonly ended: Promise<void>;
}

function hold(sharing: Sharing, partition: number, lease: Lease): Holding {
  const { topic, refusals, log, work, signal } = sharing;
  const stop = new AbortController();
  const leave = () => stop.abort();
  // Not left to the loop above: it may be waiting for a state that does not answer.
  for (const cause of [signal, lease.signal])
    if (cause.aborted) leave();
    else cause.addEventListener("abort", leave, { once: true });
  return { leave, ended: run() };

  async function run() {
    for (let tries = 0; !stop.signal.aborted; tries++)
      try {
        await work(partition, { lease, signal: stop.signal });
        break;
      } catch (error) {
        if (stop.signal.aborted) break;
        if (!refusals.note(lease, error))
          log.error({ topic, partition, error }, "partition failed, runs again");
        await pause(backoffMs(tries), stop.signal);
        refusals.forget(lease);
      }
    signal.removeEventListener("abort", leave);
    await lease
      .release()
      .catch((error: unknown) =>
        log.debug({ topic, partition, error }, "lease was not released; it runs out"),
      );
  }
}

/** 100 ms doubling up to 5 s, of which half is random. */
export function backoffMs(tries: number): number {
  const full = Math.min(maxPauseMs, 100 * 2 ** Math.min(tries, 10));
  return full / 2 + (Math.random() * full) / 2;
}

/** Ends early, without an error, on abort. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {}); // rejects on abort only
}

function membersOf(topic: string): string {
  return `members/${topic}/`;
}

async function members(scope: Scope, topic: string): Promise<string[]> {
  const prefix = membersOf(topic);
  const ids: string[] = [];
  for await (const page of scope.state.scan(prefix))
    for (const { key, value } of page) {
      const { at } = value as { readonly at: number }; // written by `join` only
      // From the future: our clock was set back, and what expires by it would stay for as long.
      if (at < Date.now() + clockToleranceMs) ids.push(key.slice(prefix.length));
    }
  return ids.filter((id) => !id.includes("/")); // those of a topic `${topic}/…` share the prefix
}
