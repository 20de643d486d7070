import assert from "node:assert/strict";
import type { RecordChange } from "../event.ts";
import type { Fence, StateWrite } from "../state/state.ts";
import { word, type Case } from "./conformance.ts";
import { state, type FakeState } from "./fakes/state.ts";
import { childMs, killedAt } from "./killed.ts";
import { changesOf } from "./sample.ts";
import type { SinkBench } from "./sink.ts";

/** For a child to start and do its work. */

/** What a sink must not keep to itself: a restart, and another worker, know nothing but the target and the state. */
export function sinkReopenedCases(
  bench: SinkBench,
  module: URL | string | undefined,
): readonly Case[] {
  const { sink, config, sample, opened, assertHolds } = bench;
  const { kind, name } = sink;

  /** Writes and deletes, closes, and has older changes written by somebody else. */
  const handedOver = async (
    others: (late: readonly RecordChange[], over: { readonly state: FakeState }) => Promise<void>,
  ) => {
    const over = { state: state() };
    const { put, remove } = changesOf(`/kit/${word()}`, sample);
    const [gone, kept, old, anew] = [word(), word(), word(), word()];
    await opened(async ({ write }) => {
      await write([put("gone", 1, gone)]);
      await write([remove("gone", 2)]);
      await write([put("kept", 3, kept)]);
    }, over);
    await others([put("gone", 1, gone), put("kept", 2, old), put("anew", 1, anew)], over);
    await assertHolds({ [gone]: false, [old]: false, [kept]: true, [anew]: true });
  };

  const whenModule = (from: string): readonly Case[] => [
    {
      name: "in another process, it knows what it wrote and deleted",
      run: () =>
        handedOver(async (batch, { state: place }) => {
          let isWritten = false;
          await killedAt(
            Infinity,
            { module: from, kind, name, config, batch },
            {
              state: place.state,
              hear: (call) => void (isWritten ||= call === "written"),
              isDone: () => isWritten,
              patienceMs: childMs,
            },
          );
        }),
    },
  ];

  return [
    {
      name: "opened anew, it knows what it wrote and deleted",
      run: () =>
        handedOver((late, over) => opened(({ write }) => write(late, { redelivered: true }), over)),
    },
    {
      name: "open twice at once, each knows what the other wrote and deleted, and nothing is lost",
      run: () => {
        const over = { state: state() };
        const { put, remove, clear } = changesOf(`/kit/${word()}`, sample);
        return opened(
          (one) =>
            opened(async (other) => {
              const [cleared, newer, older, gone, again] = [word(), word(), word(), word(), word()];
              await one.write([put("cleared", 1, cleared)]);
              await other.write([clear(2)]);
              await one.write([put("r", 5, newer), put("gone", 5, gone)]);
              await other.write([put("r", 4, older), remove("gone", 6)]);
              await one.write([put("gone", 5, again)], { redelivered: true });
              await assertHolds({
                [cleared]: false,
                [newer]: true,
                [older]: false,
                [gone]: false,
                [again]: false,
              });
              // As partitions do that two workers have.
              const texts = Array.from({ length: 40 }, word);
              const halves = [one, other].map(async ({ write }, half) => {
                const own = [...texts.entries()].filter(([at]) => at % 2 === half);
                for (const [at, text] of own) await write([put(`own${at}`, 7, text)]);
              });
              await Promise.all(halves);
              await assertHolds(Object.fromEntries([newer, ...texts].map((text) => [text, true])));
            }, over),
          over,
        );
      },
    },
    {
      name: "writes its state under the fence of its run",
      run: async () => {
        const place = state();
        const unfenced: string[] = [];
        let isWriting = false;
        const noted = (writes: readonly StateWrite[], fence: Fence | undefined) => {
          if (isWriting && !fence) unfenced.push(...writes.map(({ key }) => key));
        };
        const { each, all } = place.state;
        const watching: FakeState = {
          ...place,
          state: {
            ...place.state,
            each: async (writes, fence) => {
              noted(writes, fence);
              return each(writes, fence);
            },
            all: async (writes, fence) => {
              noted(writes, fence);
              return all(writes, fence);
            },
          },
        };
        await opened(
          async ({ put, remove, clear, write }) => {
            isWriting = true;
            await write([put("r", 1, word()), put("s", 1, word())]);
            await write([remove("r", 2)]);
            await write([clear(3)]);
            isWriting = false;
          },
          { state: watching },
        );
        assert.deepEqual(unfenced, [], "written without `run.fence`");
      },
    },
    ...(module === undefined ? [] : whenModule(String(module))),
  ];
}
