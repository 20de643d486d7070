import type { Log, SnapshotRequest, SourceContext } from "../connector.ts";
import type { SluiceError } from "../errors.ts";
import type { Json } from "../event.ts";
import type { Fence, StateStore, StateWrite } from "../state/state.ts";
import { timedId } from "../timed-id.ts";
import { bell } from "../bell.ts";
import { checkpointKey } from "./keys.ts";
import { openPermit } from "./permit.ts";
import { untilAborted } from "./until-aborted.ts";

/** A snapshot request in its source's state, under `requests/ID`, until a batch completes it. */
export interface PendingRequest extends SnapshotRequest {
  /** RFC 3339. */
  readonly askedAt: string;
  /** When a source first got it, RFC 3339. */
  readonly begunAt?: string;
  /** Taken back: kept for a minute, for whoever waits for it. */
  readonly isCancelled?: true;
  /** Given back by the source: kept for a minute too. */
  readonly refused?: Refusal;
}

/** Why a source cannot do what it was asked. */
export type Refusal = Pick<SluiceError, "code" | "message" | "fix">;

interface Kept {
  readonly request: PendingRequest;
  readonly revision: number;
}

const prefix = "requests/";
const endedForMs = 60_000;
/** How late a request of another process may be noticed. */
const pollMs = 500;

/** What a source was asked for and has not completed, in the order of asking. */
export async function pendingRequests(state: StateStore): Promise<readonly PendingRequest[]> {
  return (await kept(state)).map(({ request }) => request);
}

async function kept(state: StateStore): Promise<readonly Kept[]> {
  const found: Kept[] = [];
  for await (const page of state.scan(prefix))
    for (const { value, revision } of page)
      found.push({ request: value as unknown as PendingRequest, revision }); // written here only
  return found.filter(({ request }) => !request.isCancelled && !request.refused);
}

/**
 * Asks a source for a snapshot that goes to everybody. The same one that nobody has begun yet is not
 * asked for twice: it is answered, with `isNew` false.
 */
export async function askSnapshot(
  state: StateStore,
  { collections }: Pick<SnapshotRequest, "collections"> = {},
): Promise<{ readonly request: PendingRequest; readonly isNew: boolean }> {
  const names = (some: readonly string[] | undefined) => some && [...new Set(some)].toSorted();
  const wanted = names(collections);
  const isSame = (other: PendingRequest) =>
    other.audience === undefined &&
    other.begunAt === undefined &&
    JSON.stringify(names(other.collections)) === JSON.stringify(wanted);
  const permit = await openPermit(state);
  const known = (await pendingRequests(state)).find(isSame);
  if (known) return { request: known, isNew: false };
  const request = { id: timedId(), ...(wanted && { collections: wanted }) };
  const write = askedWrite(request);
  await permit.write([write]);
  return { request: write.value as unknown as PendingRequest, isNew: true };
}

/** Forgets what people asked for and is not done; catch-ups stay. A run that has one of them may still finish it. */
export async function cancelSnapshots(state: StateStore): Promise<readonly PendingRequest[]> {
  const all = (await pendingRequests(state)).filter(({ audience }) => audience === undefined);
  await state.each(
    all.map((request) => ({
      key: prefix + request.id,
      value: { ...request, isCancelled: true } as unknown as Json,
      ttlMs: endedForMs,
    })),
  );
  return all;
}

/**
 * What became of a request: `asked`, `begun` (a source got it), `done`, `cancelled`, why it was refused,
 * or `gone`: the source has no checkpoint either, so its state was removed or lost.
 */
export async function fateOf(
  state: StateStore,
  id: string,
): Promise<"asked" | "begun" | "done" | "cancelled" | "gone" | Refusal> {
  const [entry, checkpoint] = await state.get([prefix + id, checkpointKey]);
  if (entry === undefined) return checkpoint === undefined ? "gone" : "done";
  const { begunAt, isCancelled, refused } = entry.value as unknown as PendingRequest;
  if (isCancelled) return "cancelled";
  if (refused) return refused;
  return begunAt === undefined ? "asked" : "begun";
}

/** The write that asks for a snapshot, unless the same id is asked for already. */
export function askedWrite(request: SnapshotRequest): StateWrite {
  const value: PendingRequest = { ...request, askedAt: new Date().toISOString() };
  return { key: prefix + request.id, value: value as unknown as Json, expect: 0 };
}

/** The write that forgets a request. */
export function forgottenWrite(id: string): StateWrite {
  return { key: prefix + id, value: undefined };
}

/** The requests of one run of a source. */
export interface RequestFeed {
  /** Each that is pending, once, in the order of asking; those of other processes within 500 ms. Ends on abort. */
  readonly requests: AsyncIterable<SnapshotRequest>;
  /** Something was asked in this process: no need to wait. */
  readonly look: () => void;
  /** The writes that forget what a batch completes: stored with its checkpoint. */
  readonly completed: (ids: readonly string[]) => readonly StateWrite[];
  readonly refuse: SourceContext<unknown, unknown>["refuse"];
}

/** Follows what is asked of a source while it holds its lease. Only looks while the source waits for a request. */
export function requestFeed(
  state: StateStore,
  run: { readonly fence: Fence; readonly log: Log; readonly signal: AbortSignal },
): RequestFeed {
  const { fence, log, signal } = run;
  const news = bell();
  const given = new Set<string>();

  /** The first that this run has not had, marked as begun: from then on the same may be asked again. */
  async function next(): Promise<SnapshotRequest | undefined> {
    const all = await kept(state);
    const pending = new Set(all.map(({ request }) => request.id));
    // What was completed may be asked for again: a catch-up, whose id is always the same.
    for (const id of given) if (!pending.has(id)) given.delete(id);
    for (const { request, revision } of all) {
      const { id, collections, audience, begunAt } = request;
      if (given.has(id)) continue;
      if (begunAt === undefined) {
        const value = { ...request, begunAt: new Date().toISOString() } as unknown as Json;
        const write = { key: prefix + id, value, expect: revision };
        const [isMarked] = await state.each([write], fence);
        if (!isMarked) return undefined; // completed or taken back meanwhile: look again
        if (given.has(id)) continue; // completed just now, from what the checkpoint remembers
      }
      given.add(id);
      return { id, ...(collections && { collections }), ...(audience && { audience }) };
    }
    return undefined;
  }

  async function* follow(): AsyncGenerator<SnapshotRequest, void> {
    while (!signal.aborted) {
      // The state may not answer, or the lease be gone: the next look succeeds, or this run ends.
      const request = await untilAborted(next(), signal).catch((error: unknown) => {
        if (!signal.aborted) log.debug({ error }, "snapshot requests not read");
      });
      if (request) yield request;
      else await news.wait(pollMs, signal);
    }
  }

  return {
    requests: follow(),
    look: news.ring,
    completed: (ids) => {
      for (const id of ids) given.add(id);
      return ids.map(forgottenWrite);
    },
    refuse: async (id, { code, message, fix }) => {
      log.warn({ request: id, code, message, fix }, "snapshot refused");
      given.add(id);
      const [entry] = await state.get([prefix + id]);
      if (!entry) return;
      const refused: Refusal = { code, message, ...(fix !== undefined && { fix }) };
      const value = { ...(entry.value as unknown as PendingRequest), refused } as unknown as Json;
      await state.each([{ key: prefix + id, value, ttlMs: endedForMs }], fence);
    },
  };
}
