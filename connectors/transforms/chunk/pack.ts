import { hash } from "node:crypto";
import type { Breathe } from "../../_shared/text/breathe.ts";
import type { Unit } from "../../_shared/text/unit.ts";

export interface Span {
  readonly start: number;
  readonly end: number;
}

interface Scale {
  /** What a span may weigh. */
  readonly room: number;
  readonly weigh: (start: number, end: number) => number;
  readonly breathe: Breathe;
}

/**
 * Joins neighbouring units to spans that weigh at most `room`, and cuts the units that weigh more.
 *
 * Where to divide is chosen by content, not by counting from the start: of all places between units
 * the one whose following text hashes lowest divides first, and so on until the parts fit. So a place
 * divides or not because of the text within about `room` around it, and an edit moves no boundary
 * farther away (filling greedily would move all that follow).
 */
export async function pack(
  text: string,
  units: Iterable<Unit>,
  scale: Scale,
): Promise<readonly Span[]> {
  const spans: Span[] = [];
  let run = emptyRun();
  const endRun = async () => {
    for (const span of await divided(run, scale)) spans.push(span);
    run = emptyRun();
  };
  for (const unit of units) {
    await scale.breathe();
    const weight = scale.weigh(unit.start, unit.end);
    if (weight <= scale.room) {
      run.starts.push(unit.start);
      run.ends.push(unit.end);
      run.weights.push(weight);
      run.hashes.push(hashOf(text.slice(unit.start, unit.start + 64)));
      continue;
    }
    await endRun();
    const smaller = unit.cut((start, end) => scale.weigh(start, end) <= scale.room);
    const before = spans.length;
    for (const span of await pack(text, smaller, scale)) spans.push(span);
    if (spans.length === before) spans.push(unit);
  }
  await endRun();
  return spans;
}

/** Neighbouring units, each of which fits: numbers alone, as a text may fall into ten million of them. */
interface Run {
  readonly starts: number[];
  readonly ends: number[];
  readonly weights: number[];
  readonly hashes: number[];
}

function emptyRun(): Run {
  return { starts: [], ends: [], weights: [], hashes: [] };
}

function hashOf(text: string): number {
  return Number.parseInt(hash("sha1", text).slice(0, 12), 16);
}

/** Divides a run of units, each of which fits, until every part fits. */
async function divided(
  { starts, ends, weights, hashes }: Run,
  { room, breathe }: Scale,
): Promise<readonly Span[]> {
  const spans: Span[] = [];
  const weightBefore = [0];
  let total = 0;
  for (const weight of weights) weightBefore.push((total += weight));
  const weightOf = (from: number, to: number) =>
    (weightBefore[to] ?? 0) - (weightBefore[from] ?? 0);

  // A stack and not recursion: a run may have hundreds of thousands of units.
  const parts: [from: number, to: number][] = [[0, starts.length]];
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    await breathe();
    const [from, to] = part;
    const [start, end] = [starts[from], ends[to - 1]];
    if (start === undefined || end === undefined) continue;
    if (from + 1 === to || weightOf(from, to) <= room) {
      spans.push({ start, end });
      continue;
    }
    const at = await placeIn(from, to);
    parts.push([at, to], [from, at]);
  }
  return spans;

  async function placeIn(from: number, to: number): Promise<number> {
    // A part so small is left over only where no other place exists.
    const least = room / 5;
    let best = from + 1;
    let rank = Infinity;
    const worth = (at: number) => (Math.min(weightOf(from, at), weightOf(at, to)) < least ? 1 : 0);
    for (let at = from + 1; at < to; at++) {
      if (at % 4_096 === 0) await breathe();
      const small = worth(at);
      if (small > rank) continue;
      if (small < rank || isBefore(at, best)) [best, rank] = [at, small];
    }
    return best;

    function isBefore(left: number, right: number): boolean {
      const [a = 0, b = 0] = [hashes[left], hashes[right]];
      if (a !== b) return a < b;
      // Equal texts, as in long tables: the middle, or the parts would be single units.
      const offCentre = (at: number) => Math.abs(weightOf(from, at) - weightOf(at, to));
      return offCentre(left) < offCentre(right);
    }
  }
}
