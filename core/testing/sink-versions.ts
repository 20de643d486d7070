import type { RecordChange } from "../event.ts";
import { version, type Version } from "../version.ts";
import { word, type Case } from "./conformance.ts";
import type { SinkBench } from "./sink.ts";

type Parts = Parameters<typeof version>[0];

const epoch = 1;
const rank = 0;
const tail = 0;
const most = 2n ** 64n - 1n;

/** Each lower than the next one, by the part in which they differ first, whatever the others say. */
const rising: readonly Parts[] = [
  { epoch, position: 1n, rank, tail: 1 },
  { epoch, position: 1n, rank, tail: 9 },
  { epoch, position: 1n, rank, tail: 10 },
  { epoch, position: 1n, rank, tail: 256 },
  { epoch, position: 1n, rank: 1, tail },
  { epoch, position: 1n, rank: 1, tail: 16 },
  ...[9n, 10n, 15n, 16n, 99n, 100n, 2n ** 32n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n].map(
    (position) => ({ epoch, position, rank, tail }) as const,
  ),
  { epoch, position: most, rank: 1, tail: 9 },
  { epoch: 2, position: 0n, rank, tail },
  { epoch: 9, position: most, rank: 1, tail: 1 },
  { epoch: 10, position: 1n, rank, tail },
  { epoch: 2 ** 31 - 1, position: 2n, rank, tail },
  { epoch: 2 ** 31, position: 1n, rank, tail },
];
/** The same, of an origin whose tails are text: bytewise, not as any language sorts. */
const risingByText = ["", "B", "B1", "B10", "B9", "a", "aa", "b", "é"].map((text): Parts => ({
  epoch,
  position: 1n,
  rank,
  tail: text,
}));
type Pair = readonly [older: Version, newer: Version];
const pairs = [rising, risingByText].flatMap((all) =>
  all.slice(1).map((newer, at): Pair => [version(all[at] ?? newer), version(newer)]),
);
const at = (parts: Partial<Parts>) => version({ epoch, position: 1n, rank, tail, ...parts });
/** A clear goes over a whole origin: one for each part. */
const pairsOfClears: readonly Pair[] = [
  [at({ position: 9n }), at({ position: 10n })],
  [at({ position: 2n ** 53n }), at({ position: 2n ** 53n + 1n })],
  [at({ tail: 9 }), at({ tail: 10 })],
  [at({ tail: 9 }), at({ rank: 1 })],
  [at({ position: most, rank: 1 }), at({ epoch: 2 })],
];

/** Which of two versions wins, whichever part of them differs: they are compared whole, bytewise. */
export function sinkVersionCases({ opened, assertHolds }: SinkBench): readonly Case[] {
  return [
    {
      name: "of two puts the higher version stands, by epoch, then position, rank and tail",
      run: () =>
        opened(async ({ put, write }) => {
          const batches: [RecordChange[], RecordChange[]] = [[], []];
          const expected: Record<string, boolean> = {};
          for (const [at, [older, newer]] of pairs.entries()) {
            const [kept, late, old, fresh] = [word(), word(), word(), word()];
            batches[0].push(put(`late${at}`, newer, kept), put(`next${at}`, older, old));
            batches[1].push(put(`late${at}`, older, late), put(`next${at}`, newer, fresh));
            Object.assign(expected, { [kept]: true, [late]: false, [old]: false, [fresh]: true });
          }
          for (const batch of batches) await write(batch);
          await assertHolds(expected);
        }),
    },
    {
      name: "a delete removes what is of a lower version, by epoch, then position, rank and tail",
      run: () =>
        opened(async ({ put, remove, write }) => {
          const batches: [RecordChange[], RecordChange[], RecordChange[]] = [[], [], []];
          const expected: Record<string, boolean> = {};
          for (const [at, [older, newer]] of pairs.entries()) {
            const [gone, late, held, back] = [word(), word(), word(), word()];
            const [goes, stays, returns] = [`goes${at}`, `stays${at}`, `returns${at}`];
            batches[0].push(put(goes, older, gone), put(stays, newer, held));
            batches[1].push(remove(goes, newer), remove(stays, older), remove(returns, older));
            batches[2].push(put(goes, older, late), put(returns, newer, back));
            Object.assign(expected, { [gone]: false, [late]: false, [held]: true, [back]: true });
          }
          for (const batch of batches) await write(batch);
          await assertHolds(expected);
        }),
    },
    {
      name: "a clear removes what is of a lower version, by epoch, then position, rank and tail",
      run: () =>
        opened(async ({ stranger, write }) => {
          const expected: Record<string, boolean> = {};
          for (const [older, newer] of pairsOfClears) {
            const { put, clear } = stranger();
            const [below, at] = [word(), word()];
            await write([put("below", older, below), put("at", newer, at)]);
            await write([clear(newer)]);
            Object.assign(expected, { [below]: false, [at]: true });
          }
          await assertHolds(expected);
        }),
    },
  ];
}
