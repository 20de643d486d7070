import { fileURLToPath } from "node:url";
import type { Log } from "../../connector.ts";
import { openRedisState } from "../../state/redis/index.ts";
import { actAsChild } from "../conformance-child.ts";
import type { Party, PartyOptions } from "../conformance.ts";
import { openBullmqTopics } from "./index.ts";

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** A process of the suite on the Redis at `url`; run as a script, a child that consumes. */
export async function openParty(
  { url, project, log = silent }: { url: string; project: string; log?: Log },
  options: PartyOptions,
): Promise<Party> {
  const { leaseMs, writeTimeoutMs, ...settings } = options;
  const state = await openRedisState({ url, project, log });
  const topics = await openBullmqTopics({
    url,
    project,
    log,
    leaseMs,
    writeTimeoutMs,
    settings: () => settings,
    scope: state.scope,
  });
  return { topics, state };
}

const [, script, url = "", project = ""] = process.argv;
if (script === fileURLToPath(import.meta.url))
  await actAsChild((options) => openParty({ url, project }, options));
