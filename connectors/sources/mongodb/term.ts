import type { MongoClient } from "mongodb";
import { RetryableError } from "sluice";

/** The time that one member of a replica set is primary. */
export interface Terms {
  /** Aborts when `signal` does, and with `RetryableError` as soon as another member is primary. */
  readonly within: (signal: AbortSignal) => AbortSignal;
}

/**
 * Follows elections, so that nobody waits for the answer of a member that has been replaced: one that froze,
 * or whose network is gone, keeps its connections open, and the driver notices after many seconds.
 */
export function terms(client: MongoClient): Terms {
  let primary: string | undefined;
  let term = new AbortController();
  let combined = new WeakMap<AbortSignal, AbortSignal>();
  client.on("topologyDescriptionChanged", ({ newDescription }) => {
    const servers = [...newDescription.servers.values()];
    const address = servers.find(({ type }) => type === "RSPrimary")?.address;
    // None for a while is no other one: the same may come back.
    if (address === undefined || address === primary) return;
    const isFirst = primary === undefined;
    primary = address;
    if (isFirst) return;
    const ended = term;
    term = new AbortController();
    combined = new WeakMap();
    ended.abort(replaced(address));
  });
  return {
    within: (signal) => {
      const before = combined.get(signal);
      if (before) return before;
      const both = AbortSignal.any([signal, term.signal]);
      combined.set(signal, both);
      return both;
    },
  };
}

function replaced(address: string): RetryableError {
  return new RetryableError(`mongodb: ${address} is primary now.`, {
    code: "mongodb.unreachable",
    reason: "unreachable",
  });
}
