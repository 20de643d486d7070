import { Refusal } from "./refusal.ts";
import type { Settings } from "./settings.ts";

type Limits = NonNullable<Settings["rateLimits"]>;

/** What a request costs. */
export interface Cost {
  readonly operation: string;
  readonly index: string;
  readonly namespace: string;
  readonly bytes: number;
  readonly body: unknown;
}

/** The rate limits of the real service, as token buckets that hold a second's worth. */
export interface Rates {
  /** Throws a 429 that names the operation, the namespace or index, and the limit. */
  readonly spend: (cost: Cost, limits: Limits, now: number) => void;
}

const maxBuckets = 10_000;

export function openRates(): Rates {
  const buckets = new Map<string, { left: number; at: number }>();

  const take = (key: string, perSecond: number, amount: number, now: number): boolean => {
    const bucket = buckets.get(key) ?? { left: perSecond, at: now };
    buckets.delete(key);
    if (buckets.size >= maxBuckets) buckets.clear(); // full buckets: generous for a moment
    buckets.set(key, bucket);
    bucket.left = Math.min(perSecond, bucket.left + ((now - bucket.at) / 1_000) * perSecond);
    bucket.at = now;
    // What alone is more than a second's worth passes when the bucket is full, else it never could.
    if (bucket.left < Math.min(amount, perSecond) || perSecond === 0) return false;
    bucket.left -= amount;
    return true;
  };

  return {
    spend: (cost, limits, now) => {
      for (const [limit, amount] of spent(cost)) {
        const ofIndex = limit.endsWith("OfIndex");
        const where = ofIndex
          ? `index '${cost.index}'`
          : `namespace '${cost.namespace}' of index '${cost.index}'`;
        const key = `${limit}\n${cost.index}${ofIndex ? "" : `\n${cost.namespace}`}`;
        if (take(key, limits[limit], amount, now)) continue;
        throw new Refusal(
          429,
          8,
          `Too many requests: ${cost.operation} has reached the limit ${limit} of ${limits[limit]} a second in ${where}. Retry later.`,
        );
      }
    },
  };
}

function spent({ operation, bytes, body }: Cost): readonly (readonly [keyof Limits, number])[] {
  const { filter, ids } = Object(body) as { filter?: unknown; ids?: unknown };
  switch (operation) {
    case "query":
      return [["query", 1]];
    case "upsert":
      return [
        ["upsert", 1],
        ["upsertBytes", bytes],
      ];
    case "update":
      return filter == null ? [["update", 1]] : [["updateByFilter", 1]];
    case "delete":
      if (filter != null) return [["deleteByFilter", 1]];
      return [
        ["delete", 1],
        ["deleteIds", Array.isArray(ids) ? ids.length : 1],
      ];
    case "fetch":
      return [["fetchOfIndex", 1]];
    case "list":
      return [["listOfIndex", 1]];
    case "stats":
      return [["statsOfIndex", 1]];
    default:
      return [];
  }
}
