/** What a server says of itself and its replicas (`INFO replication`). */
export interface ServerHistory {
  /** Another one after each fail-over, and after a restart. */
  readonly id: string;
  /** It was a replica, and was promoted. */
  readonly isPromoted: boolean;
  /** Replicas that follow it. */
  readonly online: number;
}

/**
 * How long a replica that has lost its primary may still be promoted in its place, by the settings that
 * Redis comes with: 160 s in a cluster, 300 s by sentinels.
 */
const promotableMs = 300_000;

/**
 * How many replicas must confirm a write, `most` of them where there are as many. One that was there and
 * is not is waited for, for as long as it could be promoted and what it lacks be lost; after that, whatever
 * replicas are left must do. A server that was promoted and has no replica yet has none to wait for.
 */
export function openWanted(most: number, now = () => performance.now()) {
  const shortSince = new Map<string, number>();
  const complete = new Set<string>();

  return ({ id, isPromoted, online }: ServerHistory): number => {
    if (online >= most) {
      complete.add(id);
      shortSince.delete(id);
      return most;
    }
    if (isPromoted && !complete.has(id)) return online;
    const since = shortSince.get(id) ?? now();
    shortSince.set(id, since);
    return now() - since < promotableMs ? most : online;
  };
}

/** Undefined where the server tells nothing. */
export function parseHistory(info: string): ServerHistory | undefined {
  const id = /^master_replid:(\w+)/m.exec(info)?.[1];
  if (id === undefined) return undefined;
  return {
    id,
    isPromoted: /^master_replid2:0*[1-9a-f]/m.test(info),
    online: info.match(/^slave\d+:.*\bstate=online\b/gm)?.length ?? 0,
  };
}
