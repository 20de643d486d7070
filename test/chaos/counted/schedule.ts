import { seeded } from "../random.ts";

export const redisFaults = ["redis-restart", "redis-older", "redis-stop", "cut"] as const;
export type RedisFault = (typeof redisFaults)[number];

/** Poison is not among them: one event in a thousand is, whatever else is played. */
export const faultKinds = ["kill", "term", "stop", "throttle", "stall", ...redisFaults] as const;
export type FaultKind = (typeof faultKinds)[number];

export interface Fault {
  readonly kind: FaultKind;
  /** Milliseconds from the beginning. */
  readonly atMs: number;
  /** How long it lasts. */
  readonly forMs: number;
  /** Which of the processes that then run: this, modulo their number. Even: the one that reads the origin, where it can be told. */
  readonly which: number;
}

const gapMs: readonly [number, number] = [1_000, 9_000];
/** Of a process: often beyond its lease (10 s). */
const lasting: Readonly<Record<FaultKind, readonly [from: number, to: number]>> = {
  kill: [0, 3_000],
  term: [0, 3_000],
  stop: [8_000, 18_000],
  throttle: [1_000, 6_000],
  stall: [1_000, 8_000],
  "redis-restart": [0, 5_000],
  "redis-older": [0, 3_000],
  "redis-stop": [1_000, 15_000],
  cut: [0, 0],
};

/** Long enough apart for each take-over to be measured with nothing else wrong, where there is the time. */
const calm: readonly Fault[] = [
  { kind: "kill", atMs: 5_000, forMs: 1_000, which: 0 },
  { kind: "term", atMs: 23_000, forMs: 1_000, which: 0 },
  { kind: "stop", atMs: 41_000, forMs: 16_000, which: 0 },
];
const calmUntilMs = 60_000;
const leastMinutesWithCalm = 3;

/** What is played, and when: the same for the same seed, kinds and minutes. One may begin while another lasts. */
export function scheduleOf(
  seed: number,
  kinds: readonly FaultKind[],
  minutes: number,
): readonly Fault[] {
  const random = seeded(seed);
  const between = ([from, to]: readonly [number, number]) => from + random.below(to - from + 1);
  const isLong = minutes >= leastMinutesWithCalm;
  const faults = isLong ? calm.filter(({ kind }) => kinds.includes(kind)) : [];
  const fromMs = faults.length > 0 ? calmUntilMs : 3_000;
  const endMs = minutes * 60_000;
  for (let atMs = fromMs + between(gapMs); kinds.length > 0; atMs += between(gapMs)) {
    // Every kind comes before one comes twice.
    const rare = Math.min(...kinds.map((kind) => timesOf(kind, faults)));
    const kind = random.pick(
      random.below(2) === 0 ? kinds.filter((one) => timesOf(one, faults) === rare) : kinds,
    );
    const fault = { kind, atMs, forMs: between(lasting[kind]), which: random.below(1_000) };
    if (atMs + fault.forMs > endMs - 1_000) break;
    faults.push(fault);
  }
  return faults;
}

function timesOf(kind: FaultKind, faults: readonly Fault[]): number {
  return faults.filter((one) => one.kind === kind).length;
}
