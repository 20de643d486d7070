import type { RecordChange } from "../event.ts";
import { word, type Case } from "./conformance.ts";
import { state } from "./fakes/state.ts";
import { childMs, killedAt } from "./killed.ts";
import { changesOf, type Hand } from "./sample.ts";
import type { SinkBench } from "./sink.ts";

const maxMoments = 16;
const maxSteps = 40;
/** Milliseconds after it began to write: in the middle of what the kit does not see. */
const delaysMs = [3, 30];

const parts = () => Array.from({ length: 3 }, word);

type Held = Readonly<Record<string, boolean>>;

/** A batch that is killed on its way: what holds before it, what must hold all along, and what once it is written. */
interface Round {
  readonly before: readonly (readonly RecordChange[])[];
  readonly batch: readonly RecordChange[];
  readonly throughout: Held;
  readonly after: Held;
}

function gone(texts: readonly string[]): Held {
  return Object.fromEntries(texts.map((text) => [text, false]));
}

/** What a sink leaves when it is killed in a process of its own, and its batch comes again. */
export function sinkKillCases(bench: SinkBench, module: string): readonly Case[] {
  const { sink, config, sample, opened, assertHolds } = bench;
  const { kind, name } = sink;

  /** Kills it once at every moment, then in the midst; `roundAt` says with what, by a version that rises. */
  const killedThroughout = async (roundAt: (at: number) => Round, sinceOpened: boolean) => {
    const over = { state: state() };
    const expected: Record<string, boolean> = {};
    let at = 10;
    let now = roundAt(at);
    const prepare = async ({ write }: Hand) => {
      for (const batch of now.before) await write(batch);
    };
    const round = async (
      moment: number,
      { diesAt, afterOpenedMs }: { readonly diesAt?: number; readonly afterOpenedMs?: number } = {},
    ) => {
      const { batch, throughout, after } = now;
      let isWritten = false;
      const end = await killedAt(
        moment,
        { module, kind, name, config, batch, ...(diesAt && { diesAt }) },
        {
          state: over.state.state,
          hear: (call) => void (isWritten ||= call === "written"),
          isDone: () => isWritten,
          patienceMs: childMs,
          sinceOpened,
          ...(afterOpenedMs !== undefined && { afterOpenedMs }),
        },
      );
      await assertHolds(isWritten ? { ...throughout, ...after } : throughout);
      at += 10;
      now = roundAt(at);
      await opened(async (hand) => {
        await hand.write(batch, { redelivered: true });
        await assertHolds(Object.assign(expected, throughout, after));
        await prepare(hand);
      }, over);
      return end;
    };
    await opened(prepare, over);
    for (let moment = 1; moment <= maxMoments; moment += 1)
      if ((await round(moment)) === "done") break;
    for (let diesAt = 1; diesAt <= maxSteps; diesAt += 1)
      if ((await round(Infinity, { diesAt })) === "done") break;
    for (const afterOpenedMs of delaysMs) await round(Infinity, { afterOpenedMs });
  };

  return [
    {
      name: "killed at each step, it keeps what stays, and its batch written again makes it whole",
      run: () => {
        const { put, remove } = changesOf(`/kit/${word()}`, sample);
        return killedThroughout((at) => {
          const [stays, fresh] = [word(), word()];
          // Several parts of each: some may be gone when it is killed.
          const [shrinks, goes] = [parts(), parts()];
          return {
            before: [[put(`shrinks${at}`, at, stays, ...shrinks), put(`goes${at}`, at, ...goes)]],
            batch: [
              remove(`goes${at}`, at + 1),
              put(`shrinks${at}`, at + 1, stays),
              put(`fresh${at}`, at + 1, fresh),
            ],
            throughout: { [stays]: true },
            after: { ...gone([...shrinks, ...goes]), [fresh]: true },
          };
        }, false);
      },
    },
    {
      name: "killed at each step of a clear, written again it clears what is below, and nothing else",
      run: () => {
        return killedThroughout((at) => {
          // Of one origin a sink may walk through all that it has cleared before.
          const { put, clear } = changesOf(`/kit/${word()}`, sample);
          const stranger = changesOf(`/kit/${word()}`, sample);
          const [above, foreign] = [word(), word()];
          const below = [parts(), parts()];
          return {
            before: [
              [
                ...below.map((texts, which) => put(`below${at}-${which}`, at, ...texts)),
                put(`above${at}`, at + 2, above),
              ],
              [stranger.put(`foreign${at}`, at, foreign)],
            ],
            batch: [clear(at + 1)],
            throughout: { [above]: true, [foreign]: true },
            after: gone(below.flat()),
          };
        }, true);
      },
    },
  ];
}
