import type { Entry, Fence, StateStore, StateWrite } from "sluice";

/** What a holder of a lease notes with every write: how far the index has come through it. */
interface Note {
  /** The highest log position it was told. */
  readonly lsn: string;
  /** Requests it is about to make, or was when it died. */
  readonly open: number;
}

/**
 * A note beside the manifests, one a lease, written with every batch. A revision lower than the one we
 * wrote means that state went back (Redis restarted from an older file): manifests are older than the index.
 */
export interface Journal {
  readonly keyOf: (fence: Fence) => string;
  /** True, once a lease, when state has forgotten what this process wrote under it. */
  readonly wentBack: (entry: Entry | undefined, fence: Fence) => boolean;
  /** To be written with the pending manifests, before the first request. */
  readonly begin: (fence: Fence, requests: number) => StateWrite;
  /** To be written with the final manifests; `lsn` is the highest of the requests. */
  readonly end: (fence: Fence, lsn: bigint | undefined) => StateWrite;
  /** Those writes are stored. */
  readonly stored: (fence: Fence) => void;
  /** The highest log position that all notes together explain. */
  readonly explained: () => Promise<bigint>;
}

const prefix = "j/";

export function openJournal(state: StateStore): Journal {
  const mine = new Map<string, { revision: number; lsn: bigint }>();
  const own = (lease: string) => {
    const found = mine.get(lease) ?? { revision: 0, lsn: 0n };
    mine.set(lease, found);
    return found;
  };
  const write = (lease: string, note: Note): StateWrite => ({
    key: prefix + lease,
    value: { ...note },
  });

  return {
    keyOf: ({ lease }) => prefix + lease,
    wentBack(entry, { lease }) {
      const known = own(lease);
      const revision = entry?.revision ?? 0;
      if (revision < known.revision) {
        // Each lease finds it for itself: another one's batch may have read its manifests before all is doubted.
        mine.delete(lease);
        return true;
      }
      known.revision = revision;
      const lsn = BigInt(toNote(entry)?.lsn ?? 0);
      if (lsn > known.lsn) known.lsn = lsn;
      return false;
    },
    begin: ({ lease }, requests) => write(lease, { lsn: String(own(lease).lsn), open: requests }),
    end({ lease }, lsn) {
      const known = own(lease);
      if (lsn !== undefined && lsn > known.lsn) known.lsn = lsn;
      return write(lease, { lsn: String(known.lsn), open: 0 });
    },
    stored: ({ lease }) => void (own(lease).revision += 1),
    async explained() {
      let highest = 0n;
      let open = 0;
      for await (const page of state.scan(prefix))
        for (const entry of page) {
          const note = toNote(entry);
          const lsn = BigInt(note?.lsn ?? 0);
          if (lsn > highest) highest = lsn;
          open += note?.open ?? 0;
        }
      return highest + BigInt(open);
    },
  };
}

function toNote(entry: Entry | undefined): Note | undefined {
  // Only this file writes these keys.
  return entry?.value as unknown as Note | undefined;
}
