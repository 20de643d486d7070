import { randomUUID } from "node:crypto";
import { holdLease } from "../lease.ts";
import type { Leases } from "../state.ts";
import { toRedisError } from "./connect.ts";
import type { Replication } from "./replication.ts";
import { keysOf, type Scripts } from "./scripts.ts";

/** The leases under one scope: a key with a TTL while somebody holds it, a token that only grows. */
export function redisLeases(scripts: Scripts, scope: string, { kept }: Replication): Leases {
  // A server that is promoted without them would give the same token to the next one who asks.
  const repeatedly = { repeatable: true };
  return {
    acquire: async (lease, ttlMs) => {
      const keys = [...keysOf(scope), `${scope}:l:${lease}`];
      const nonce = randomUUID();
      const sentAt = performance.now();
      const acquire = (history: string) => scripts.acquire(...keys, lease, ttlMs, nonce, history);
      const answer = await kept(scope, acquire, repeatedly).catch((error: unknown) => {
        throw toRedisError(error);
      });
      if (!Array.isArray(answer)) return undefined;
      const [token, inherited] = answer.map(Number) as [number, number];
      return holdLease({
        fence: { lease, token },
        ttlMs,
        sentAt,
        inherited: inherited === 1,
        renew: async () =>
          (await kept(
            scope,
            (history) => scripts.renew(...keys, token, ttlMs, history),
            repeatedly,
          )) === 1,
        release: async () => {
          await scripts.release(...keys, lease, token).catch((error: unknown) => {
            throw toRedisError(error);
          });
        },
      });
    },
  };
}
