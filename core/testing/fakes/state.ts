import { FencedError } from "../../errors.ts";
import type { Json } from "../../event.ts";
import type {
  Entry,
  Fence,
  Lease,
  Leases,
  Scope,
  StateStore,
  StateWrite,
} from "../../state/state.ts";

/** State and leases of one connector in memory, with two hands for tests. */
export interface FakeState extends Pick<Scope, "state" | "leases"> {
  /** Moves the clock that `ttlMs` is measured by. */
  readonly advance: (ms: number) => void;
  /** Takes a lease from its holder as an expiry does: the next holder inherits it. */
  readonly lapse: (lease: string) => void;
  /** The same entries, tokens and time in a place of their own: what a backup would restore. */
  readonly copy: () => FakeState;
}

/** Revisions, `expect`, time to live, fences and bytewise order as the real stores have them. */
export function state(): FakeState {
  return made(new Map(), new Map(), 0);
}

interface Held {
  readonly text: string;
  readonly revision: number;
  readonly until: number;
}

function made(held: Map<string, Held>, tokens: Map<string, number>, startMs: number): FakeState {
  let ahead = startMs;
  const now = () => performance.now() + ahead;
  const { leases, lapse, check } = fakeLeases(tokens);
  return {
    state: store(held, now, check),
    leases,
    lapse,
    advance: (ms) => void (ahead += ms),
    copy: () => made(new Map(held), new Map(tokens), ahead),
  };
}

function store(
  held: Map<string, Held>,
  now: () => number,
  check: (fence: Fence | undefined) => void,
): StateStore {
  const read = (key: string): Entry | undefined => {
    const found = held.get(key);
    if (found && found.until <= now()) held.delete(key);
    else if (found) return { key, value: JSON.parse(found.text) as Json, revision: found.revision };
    return undefined;
  };
  const fits = ({ key, expect }: StateWrite) =>
    expect === undefined || expect === (read(key)?.revision ?? 0);
  const write = ({ key, value, ttlMs }: StateWrite) => {
    const revision = (read(key)?.revision ?? 0) + 1;
    // As text: what is not JSON does not survive here either.
    if (value === undefined) held.delete(key);
    else
      held.set(key, { text: JSON.stringify(value), revision, until: now() + (ttlMs ?? Infinity) });
  };

  return {
    get: async (keys) => keys.map(read),
    each: async (writes, fence) => {
      check(fence);
      return writes.map((one) => {
        const fit = fits(one);
        if (fit) write(one);
        return fit;
      });
    },
    all: async (writes, fence) => {
      check(fence);
      const fit = writes.every(fits);
      if (fit) writes.forEach(write);
      return fit;
    },
    async *scan(prefix, { after = "", pageSize = 1_000 } = {}) {
      const keys = [...held.keys()]
        .filter((key) => key.startsWith(prefix) && bytewise(key, after) > 0)
        .toSorted(bytewise);
      for (let at = 0; at < keys.length; at += pageSize) {
        const page = keys.slice(at, at + pageSize).map(read);
        yield page.filter((entry) => entry !== undefined);
      }
    },
  };
}

function fakeLeases(tokens: Map<string, number>) {
  const holders = new Map<string, AbortController>();
  const lapsed = new Set<string>();

  const leases: Leases = {
    acquire: async (lease): Promise<Lease | undefined> => {
      if (holders.has(lease)) return undefined;
      const token = (tokens.get(lease) ?? 0) + 1;
      const holder = new AbortController();
      const inherited = lapsed.delete(lease);
      tokens.set(lease, token);
      holders.set(lease, holder);
      return {
        lease,
        token,
        inherited,
        signal: holder.signal,
        until: () => (holder.signal.aborted ? 0 : Infinity),
        release: async () => {
          if (holders.get(lease) === holder) holders.delete(lease);
          holder.abort();
        },
      };
    },
  };
  const lapse = (lease: string) => {
    holders.get(lease)?.abort();
    if (holders.delete(lease)) lapsed.add(lease);
  };
  const check = (fence: Fence | undefined) => {
    if (fence === undefined || fence.token >= (tokens.get(fence.lease) ?? 0)) return;
    throw new FencedError(`state: lease "${fence.lease}" has a newer holder.`, {
      code: "state.fenced",
    });
  };
  return { leases, lapse, check };
}

function bytewise(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
