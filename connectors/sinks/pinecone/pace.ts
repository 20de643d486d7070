import { setTimeout as sleep } from "node:timers/promises";

/** Runs works side by side, as many as the other side bears. */
export interface Slots {
  readonly run: <T>(work: () => Promise<T>) => Promise<T>;
  /** The other side asked to slow down in a work that began at `since` (`performance.now()`). */
  readonly slow: (since: number) => void;
  readonly limit: () => number;
}

/**
 * Slots that follow what is borne: half as many after a 429, one more for every `growEveryMs` without
 * one. Works that were under way when it slowed down do not slow it again.
 */
export function adaptiveSlots(options: {
  readonly start: number;
  readonly max: number;
  readonly growEveryMs: number;
}): Slots {
  const { max, growEveryMs } = options;
  const waiting: (() => void)[] = [];
  let limit = Math.min(options.start, max);
  let running = 0;
  let changedAt = performance.now();
  let slowedAt = -Infinity;

  function next(): void {
    while (running < limit) {
      const start = waiting.shift();
      if (start === undefined) return;
      running += 1;
      start();
    }
  }
  function grow(): void {
    const steps = Math.floor((performance.now() - changedAt) / growEveryMs);
    if (steps === 0) return;
    changedAt += steps * growEveryMs;
    limit = Math.min(limit + steps, max);
  }

  return {
    async run(work) {
      grow();
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        next();
      });
      try {
        return await work();
      } finally {
        running -= 1;
        next();
      }
    },
    slow(since) {
      if (since <= slowedAt) return;
      slowedAt = changedAt = performance.now();
      limit = Math.max(1, Math.floor(limit / 2));
    },
    limit: () => limit,
  };
}

/** What a request takes of a budget: `name` is whose, `perSecond` how much there is. */
export interface Cost {
  readonly name: string;
  readonly amount: number;
  readonly perSecond: number;
}

export interface Budgets {
  /** Waits until all of the costs may be spent, and spends them. */
  readonly spend: (costs: readonly Cost[], signal: AbortSignal) => Promise<void>;
  /** Nothing of these budgets is to be spent for a while. */
  readonly pause: (costs: readonly Cost[], ms: number) => void;
}

/** Milliseconds that may be spent ahead: less would wait for what is due anyway. */
const burstMs = 100;
const maxKept = 1_000;

/** Token buckets by name, made when they are first used. */
export function openBudgets(): Budgets {
  /** When each will have paid for what was spent. */
  const paidAt = new Map<string, number>();

  return {
    async spend(costs, signal) {
      const now = performance.now();
      let waitMs = 0;
      for (const { name, amount, perSecond } of costs) {
        const from = Math.max(paidAt.get(name) ?? 0, now);
        waitMs = Math.max(waitMs, from - now - burstMs);
        paidAt.set(name, from + (amount / perSecond) * 1_000);
      }
      if (paidAt.size > maxKept) for (const [name, at] of paidAt) if (at < now) paidAt.delete(name);
      if (waitMs > 0) await sleep(waitMs, undefined, { signal });
    },
    pause(costs, ms) {
      const until = performance.now() + ms + burstMs;
      for (const { name } of costs) paidAt.set(name, Math.max(paidAt.get(name) ?? 0, until));
    },
  };
}
