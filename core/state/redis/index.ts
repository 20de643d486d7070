import type { Log } from "../../connector.ts";
import type { StatePlace } from "../state.ts";
import { checkRedis } from "./check.ts";
import { connectRedis } from "./connect.ts";
import { redisLeases } from "./leases.ts";
import { scriptsOn } from "./scripts.ts";
import { countKeys, redisStore } from "./store.ts";

/**
 * Opens state on a Redis (5.0 or later). Commands wait while it is away. Throws what `connectRedis`
 * throws when the first connect fails.
 */
export async function openRedisState(options: {
  readonly url: string;
  /** Prefix of every key. */
  readonly project: string;
  readonly log: Log;
}): Promise<StatePlace> {
  const { project } = options;
  const redis = await connectRedis(options);
  const { client, replication } = redis;
  const scripts = scriptsOn(client);
  return {
    scope: (connector) => {
      // The braces make one slot of a cluster out of all keys of a connector.
      const scope = `sluice:{${encodeURIComponent(project)}/${encodeURIComponent(connector)}}`;
      return {
        state: redisStore(scripts, scope, replication),
        leases: redisLeases(scripts, scope, replication),
        count: (prefix) => countKeys(client, scope, prefix),
      };
    },
    probe: redis.probe,
    check: () => checkRedis(redis, options.url),
    close: async () => redis.close(),
  };
}
