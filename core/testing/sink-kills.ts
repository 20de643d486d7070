import { word, type Case } from "./conformance.ts";
import { writeRun } from "./fakes/context.ts";
import { state } from "./fakes/state.ts";
import { killedAt } from "./killed.ts";
import { changesOf } from "./sample.ts";
import type { SinkBench } from "./sink.ts";

const maxMoments = 16;
const patienceMs = 20_000;
/** Milliseconds after it began to write: in the middle of what the kit does not see. */
const delaysMs = [0, 3, 10, 30];

/** What a sink leaves when it is killed in a process of its own, and its batch comes again. */
export function sinkKillCases(bench: SinkBench, module: string): readonly Case[] {
  const { sink, config, sample, opened, assertHolds } = bench;
  const { kind, name } = sink;
  return [
    {
      name: "killed at each step, its batch written again makes it whole",
      run: async () => {
        const place = state();
        const { put, remove } = changesOf(`/kit/${word()}`, sample);
        const expected: Record<string, boolean> = {};
        const said = (text: string, holds: boolean) => {
          expected[text] = holds;
          return text;
        };
        let at = 0;
        let [held, goes] = ["", ""];

        const round = async (moment: number, afterOpenedMs?: number) => {
          at += 1;
          // The record of the round before shrinks, the one before that goes.
          const batch = [
            remove(`r${at - 2}`, at),
            ...(held === "" ? [] : [put(`r${at - 1}`, at, held)]),
          ];
          if (goes !== "") said(goes, false);
          const gone = held;
          [held, goes] = [said(word(), true), said(word(), true)];
          batch.push(put(`r${at}`, at, held, goes));
          let isWritten = false;
          const end = await killedAt(
            moment,
            { module, kind, name, config, token: 1, batch },
            {
              state: place.state,
              hear: (call) => void (isWritten ||= call === "written"),
              isDone: () => isWritten,
              patienceMs,
              ...(afterOpenedMs !== undefined && { afterOpenedMs }),
            },
          );
          await opened(async ({ writer }) => writer.write(batch, writeRun({ redelivered: true })), {
            state: place,
          });
          await assertHolds(expected);
          if (gone !== "") said(gone, false); // with the next batch
          return end;
        };

        for (let moment = 1; moment <= maxMoments; moment += 1)
          if ((await round(moment)) === "done") break;
        for (const delayMs of delaysMs) await round(Infinity, delayMs);
      },
    },
  ];
}
