import type { RecordChange } from "../event.ts";
import { word, type Case } from "./conformance.ts";
import { state } from "./fakes/state.ts";
import { childMs, killedAt, killedThroughout, type Kill } from "./killed.ts";
import { changesOf, type Hand } from "./sample.ts";
import type { SinkBench } from "./sink.ts";

/** Some may be there, and some not, when it is killed. */
const parts = () => Array.from({ length: 3 }, word);

type Held = Readonly<Record<string, boolean>>;

/** A batch that is killed on its way: what holds before it, what must hold all along, and what once it is written. */
interface Round {
  readonly before: readonly (readonly RecordChange[])[];
  readonly batch: readonly RecordChange[];
  readonly throughout: Held;
  readonly after: Held;
}

function shown(texts: readonly string[], isThere: boolean): Held {
  return Object.fromEntries(texts.map((text) => [text, isThere]));
}

/** What a sink leaves when it is killed in a process of its own, and its batch comes again. */
export function sinkKillCases(bench: SinkBench, module: string): readonly Case[] {
  const { sink, config, sample, opened, assertHolds } = bench;
  const { kind, name } = sink;

  /** `roundAt` says with what it is killed, by a version that rises. */
  const killed = async (roundAt: (at: number) => Round, sinceOpened: boolean) => {
    const over = { state: state() };
    const expected: Record<string, boolean> = {};
    let at = 10;
    let now = roundAt(at);
    const prepare = async ({ write }: Hand) => {
      for (const batch of now.before) await write(batch);
    };
    const round = async ({ moment = Infinity, diesAt, afterOpenedMs }: Kill) => {
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
    await killedThroughout(round);
  };

  return [
    {
      name: "killed at each step, it keeps what stays, and its batch written again makes it whole",
      run: () => {
        const { put, remove } = changesOf(`/kit/${word()}`, sample);
        return killed((at) => {
          const stays = word();
          const [shrinks, goes, fresh] = [parts(), parts(), parts()];
          return {
            before: [[put(`shrinks${at}`, at, stays, ...shrinks), put(`goes${at}`, at, ...goes)]],
            batch: [
              remove(`goes${at}`, at + 1),
              put(`shrinks${at}`, at + 1, stays),
              put(`fresh${at}`, at + 1, ...fresh),
            ],
            throughout: { [stays]: true },
            after: { ...shown([...shrinks, ...goes], false), ...shown(fresh, true) },
          };
        }, false);
      },
    },
    {
      name: "killed at each step of a clear, written again it clears what is below, and nothing else",
      run: () =>
        killed((at) => {
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
            after: shown(below.flat(), false),
          };
        }, true),
    },
  ];
}
