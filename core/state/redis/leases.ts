import { randomUUID } from "node:crypto";
import { holdLease } from "../lease.ts";
import type { Leases } from "../state.ts";
import { toRedisError } from "./connect.ts";
import { keysOf, type Scripts } from "./scripts.ts";

/** The leases under one scope: a key with a TTL while somebody holds it, a token that only grows. */
export function redisLeases(scripts: Scripts, scope: string): Leases {
  return {
    acquire: async (lease, ttlMs) => {
      const keys = [...keysOf(scope), `${scope}:l:${lease}`];
      const sentAt = performance.now();
      const answer = await scripts
        .acquire(...keys, lease, ttlMs, randomUUID())
        .catch((error: unknown) => {
          throw toRedisError(error);
        });
      if (!Array.isArray(answer)) return undefined;
      const [token, inherited] = answer.map(Number) as [number, number];
      return holdLease({
        fence: { lease, token },
        ttlMs,
        sentAt,
        inherited: inherited === 1,
        renew: async () => (await scripts.renew(...keys, token, ttlMs)) === 1,
        release: async () => {
          await scripts.release(...keys, lease, token).catch((error: unknown) => {
            throw toRedisError(error);
          });
        },
      });
    },
  };
}
