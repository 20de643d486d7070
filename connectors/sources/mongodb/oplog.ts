import type { Log } from "sluice";
import { toTime, type Deployment } from "./deployment.ts";
import { timeAt, type Position } from "./position.ts";
import { instantOf, secondsOf } from "./token.ts";

const lookEveryMs = 60_000;

/** Cluster time of the oldest change that the oplog holds; undefined where the user may not look. */
export async function oldestChange({ client, isSharded }: Deployment): Promise<bigint | undefined> {
  if (isSharded) return undefined;
  try {
    const oplog = client.db("local").collection("oplog.rs");
    const first = await oplog.findOne({}, { sort: { $natural: 1 }, projection: { ts: 1 } });
    return first ? toTime(first["ts"]) : undefined;
  } catch {
    return undefined; // not permitted, or just now not there: it is only told, nothing depends on it
  }
}

/** Whether new changes push old ones out already; undefined where the user may not look. */
export async function isFull({ client, isSharded }: Deployment): Promise<boolean | undefined> {
  if (isSharded) return undefined;
  try {
    const { size, maxSize } = await client.db("local").command({ collStats: "oplog.rs" });
    return Number(size) > Number(maxSize) * 0.9;
  } catch {
    return undefined; // as above
  }
}

/** From when to when changes are lost, for people. */
export async function lostSpan(
  deployment: Deployment,
  position: Position | undefined,
): Promise<string> {
  if (position === undefined) return "";
  const from = `after ${instantOf(timeAt(position))}`;
  const oldest = await oldestChange(deployment);
  return oldest === undefined ? from : `${from}; the oldest left is of ${instantOf(oldest)}`;
}

/** Warns once each time that half of what the oplog holds lies behind the position: soon it is lost. */
export function watchOplog(deployment: Deployment, log: Log) {
  let lookedAt = performance.now();
  let isWarned = false;
  return async (position: Position, now: bigint): Promise<void> => {
    if (performance.now() - lookedAt < lookEveryMs) return;
    lookedAt = performance.now();
    const oldest = await oldestChange(deployment);
    if (oldest === undefined) return;
    const windowSeconds = secondsOf(now) - secondsOf(oldest);
    const leftSeconds = secondsOf(timeAt(position)) - secondsOf(oldest);
    const isLate = leftSeconds < windowSeconds / 2;
    if (isLate && !isWarned)
      log.warn(
        { leftSeconds, windowSeconds },
        "mongodb: the stream falls behind, the oplog will not hold its place",
      );
    isWarned = isLate;
  };
}
