import type { Log } from "sluice";

/**
 * What may be confirmed to the server: only what would survive a power loss here, for the server
 * forgets it (Invariant 1). Never moves back.
 */
export interface Acknowledger {
  /** Everything before `lsn` is in the queue, and its checkpoint stored. */
  readonly stored: (lsn: bigint) => void;
  readonly confirmed: () => bigint;
}

export function openAcknowledger(context: {
  readonly from: bigint;
  readonly settled: () => Promise<void>;
  readonly log: Log;
}): Acknowledger {
  const { from, settled, log } = context;
  let confirmed = from;
  let latest = from;
  let isSettling = false;
  const settle = async () => {
    isSettling = true;
    try {
      while (confirmed < latest) {
        const target = latest;
        await settled();
        confirmed = target;
      }
    } finally {
      isSettling = false;
    }
  };
  return {
    stored: (lsn) => {
      if (lsn > latest) latest = lsn;
      if (!isSettling)
        settle().catch((error: unknown) => log.debug({ error }, "position not confirmed"));
    },
    confirmed: () => confirmed,
  };
}
