import { changeReader, joined, type Change } from "./change.ts";
import { timeAt, type Position } from "./position.ts";
import type { Reply } from "./reply.ts";
import { timeOf } from "./token.ts";

/** One answer of a change stream. */
export interface Answer {
  /** In order; one that came in pieces is whole again. */
  readonly changes: readonly Change[];
  /** Resumes after them, or before the last one where that came in pieces: see `track`. */
  readonly position: Position;
  /** All changes up to and including this cluster time have been given. */
  readonly through: bigint;
  /** Cluster time of the server. */
  readonly now: bigint;
}

export interface Track {
  /** Where to resume; undefined before the first start. */
  readonly position: () => Position | undefined;
  readonly opened: (reply: Reply) => Answer;
  readonly given: (reply: Reply) => Answer;
}

/**
 * Knows where a stream stands. Two tokens are no places to resume from: that of a piece asks for the very
 * options that cut it, and one with more pieces to come would lose those it has. So a change that came in
 * pieces is only passed by the next token behind it, and given again if that never comes.
 */
export function track(from: Position | undefined, isSharded: boolean): Track {
  const read = changeReader();
  let position = from;
  let through = from ? timeAt(from) - 1n : 0n;
  let askedAt = 0n;
  let pieces: Change[] = [];
  let lastPiece = "";

  const reach = (time: bigint) => {
    if (time > through) through = time;
  };
  const answer = (changes: readonly Change[], now: bigint): Answer => {
    const at = position ?? { time: now };
    reach(timeAt(at) - 1n);
    askedAt = now;
    return { changes, position: at, through, now };
  };
  const take = (change: Change): readonly Change[] => {
    const { fragment, token } = change;
    if (!fragment) {
      position = { token };
      return [change];
    }
    lastPiece = token.data;
    pieces.push(change);
    if (fragment.number < fragment.of) return [];
    const whole = joined(pieces);
    pieces = [];
    return [whole];
  };

  return {
    position: () => position,
    opened: ({ token, time }) => {
      pieces = [];
      if (token && (position === undefined || "time" in position)) position = { token };
      // Before 4.2 a server may tell none: then the time of opening, which is included.
      position ??= { time };
      return answer([], time);
    },
    given: ({ documents, token, time }) => {
      const changes = documents.flatMap((document) => take(read(document)));
      // An empty answer has looked through everything that a majority had when it was asked for. Of several
      // shards one may be behind: there only the token counts.
      if (documents.length === 0 && !isSharded) reach(askedAt);
      if (token && token.data !== lastPiece) {
        position = { token };
        reach(timeOf(token) - 1n);
      }
      return answer(changes, time);
    },
  };
}
