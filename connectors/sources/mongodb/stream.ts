import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "sluice";
import { openCursor, type Cursor, type Place } from "./cursor.ts";
import { lostSpan } from "./oplog.ts";
import type { Mode } from "./pipeline.ts";
import type { Position } from "./position.ts";
import {
  codeOf,
  explained,
  isLost,
  isPassing,
  isTooLarge,
  isUnknownPosition,
  lost,
  messageOf,
  refusedStream,
  tooLarge,
  unknownPosition,
  unreachable,
} from "./problems.ts";
import { track, type Answer } from "./track.ts";

const batchSize = 1_000;
/** What a first lean answer may hold; more each time that it did not get past the large event. */
const firstLeanSize = 16;
/** How long a stream is tried again before the runner hears of it, which then tries on. */
const outageMs = 90_000;
/** Of a sharded cluster: another start takes another mongos. */
const shardedOutageMs = 5_000;
const longestPauseMs = 1_000;

/**
 * Follows a change stream, for ever: over elections, dead hosts, ended cursors, invalidation and events too
 * large for one answer. The first answer says where it stands and has no changes. Throws what only a person
 * or the runner can deal with: see `explained`.
 */
export async function* stream(
  place: Place,
  from: Position | undefined,
  run: {
    readonly signal: AbortSignal;
    readonly log: Log;
    /** Milliseconds the server may wait for a change. */
    readonly awaitMs: () => number;
  },
): AsyncGenerator<Answer> {
  const { deployment } = place;
  const { signal, log, awaitMs } = run;
  const at = track(from, deployment.isSharded);
  const size = sizing(deployment.splits);
  const outage = outages(deployment.isSharded ? shardedOutageMs : outageMs);

  for (;;) {
    let cursor: Cursor | undefined;
    try {
      cursor = await openCursor(place, at.position(), size.mode(), signal);
      yield at.opened(cursor.first);
      for (let isOver = false; !isOver;) {
        const reply = await cursor.more(awaitMs(), size.batch());
        const tries = outage.over();
        if (tries > 0) log.info({ tries }, "mongodb: the change stream goes on");
        yield at.given(reply);
        // Of an invalidated stream nothing more comes: another one starts behind it.
        isOver = reply.cursor === 0n || (reply.documents.length > 0 && size.passed());
      }
    } catch (error) {
      signal.throwIfAborted();
      if (isTooLarge(error)) {
        if (!size.failed()) throw tooLarge(error);
        log.debug({ mode: size.mode() }, "mongodb: an event is too large for one answer");
      } else if (isPassing(error)) {
        if (outage.tries() === 0)
          log.warn({ reason: messageOf(error) }, "mongodb: the change stream broke, resuming");
        if (outage.isTooLong()) throw unreachable(error);
        await sleep(outage.pauseMs(), undefined, { signal });
      } else
        throw await judged(error, place, {
          at: at.position(),
          isOpen: cursor !== undefined,
          signal,
        });
    } finally {
      await cursor?.close();
    }
  }
}

/**
 * What an error that does not pass means. A broken token has many faces, and so has a pipeline that the server
 * does not like: whichever it is shows when a stream is opened without a position.
 */
async function judged(
  error: unknown,
  place: Place,
  run: {
    readonly at: Position | undefined;
    readonly isOpen: boolean;
    readonly signal: AbortSignal;
  },
): Promise<unknown> {
  const { at, isOpen, signal } = run;
  if (isLost(error)) return lost(await lostSpan(place.deployment, at), error);
  if (isUnknownPosition(error)) return unknownPosition(error);
  const known = explained(error);
  if (known !== error || isOpen || codeOf(error) === undefined) return known;
  if (at === undefined) return refusedStream(error);
  try {
    const cursor = await openCursor(place, undefined, "normal", signal);
    await cursor.close();
    return unknownPosition(error);
  } catch (cause) {
    return isPassing(cause) ? unreachable(cause) : refusedStream(cause);
  }
}

/**
 * What to do about events that do not fit into an answer: have them come in pieces where the server can, from
 * then on; else pass them without their documents, which are then read one by one.
 */
function sizing(splits: boolean) {
  let usual: Mode = "normal";
  let isLean = false;
  let leanSize = firstLeanSize;
  return {
    mode: (): Mode => (isLean ? "lean" : usual),
    batch: () => (isLean ? leanSize : batchSize),
    /** Changes came. True: the stream is to be opened again in the usual way. */
    passed: () => {
      if (!isLean) leanSize = firstLeanSize;
      const wasLean = isLean;
      isLean = false;
      return wasLean;
    },
    /** False: there is nothing smaller to ask for. */
    failed: () => {
      if (isLean) {
        if (leanSize === 1) return false;
        leanSize = 1;
      } else if (usual === "normal" && splits) usual = "split";
      else {
        isLean = true;
        leanSize = Math.min(batchSize, leanSize * 2);
      }
      return true;
    },
  };
}

function outages(longestMs: number) {
  let since = 0;
  let tries = 0;
  return {
    tries: () => tries,
    isTooLong: () => tries > 0 && performance.now() - since > longestMs,
    pauseMs: () => {
      if (tries === 0) since = performance.now();
      tries += 1;
      return Math.min(longestPauseMs, 25 * 2 ** tries);
    },
    /** Ended: how many tries it took. */
    over: () => {
      const took = tries;
      tries = 0;
      return took;
    },
  };
}
