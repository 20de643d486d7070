import assert from "node:assert/strict";
import type { SluiceEvent } from "../event.ts";
import { word, type Case } from "./conformance.ts";
import { state } from "./fakes/state.ts";
import { childMs, killedAt } from "./killed.ts";
import { during, heldAfter, hold } from "./observed.ts";
import type { SourceBench } from "./source.ts";

/** More moments than a source has from its start to the checkpoint after its first news, mostly. */
const maxMoments = 16;

/** What a source leaves when it is killed in a process of its own. */
export function killCases(bench: SourceBench, module: string): readonly Case[] {
  const { source, config, origin, patienceMs, start } = bench;
  const { deletes } = source.capabilities;
  return [
    {
      name: "killed at each step, it loses nothing and brings nothing back",
      run: async () => {
        const place = state();
        const events: SluiceEvent[] = [];
        const keys: string[] = [];
        /** What each record must hold in the end; `undefined`: it must be gone. */
        const wanted = new Map<string, string | undefined>();
        const put = async (key: string) => {
          const text = word();
          wanted.set(await origin.put(key, text), text);
          return text;
        };

        let end = "killed";
        for (let at = 1; at <= maxMoments && end === "killed"; at += 1) {
          const [gone, changed] = keys.slice(-2);
          if (gone !== undefined && deletes) {
            const subject = await origin.put(gone, word());
            await origin.remove(gone);
            wanted.set(subject, undefined);
          }
          if (changed !== undefined) await put(changed);
          const key = word();
          keys.push(key);
          await put(word()); // nobody touches it again
          const text = await put(key);
          place.lapse("source");
          const lease = await place.leases.acquire("source", 10_000);
          assert.ok(lease, "the lease was just freed");
          const { kind, name } = source;
          const { token } = lease;
          let isStored = false;
          end = await killedAt(
            at,
            { module, kind, name, config, token },
            {
              state: {
                ...place.state,
                all: async (...writes) => {
                  isStored = hold(text)(events);
                  return place.state.all(...writes);
                },
              },
              // `publish` is all that a source calls besides its state.
              hear: (_, some) => void events.push(...(some as readonly SluiceEvent[])),
              isDone: () => isStored,
              patienceMs: Math.max(childMs, patienceMs * 4),
            },
          );
        }

        await during(await start({ state: place }), async (reading) => {
          const wrong = () => {
            const held = heldAfter([...events, ...reading.events]);
            return [...wanted].filter(([subject, text]) => {
              const is = held.get(subject);
              return text === undefined ? is !== undefined : !is?.includes(text);
            });
          };
          await reading
            .until(() => wrong().length === 0, "what the origin holds")
            .catch((error) => {
              const told = wrong().map(([subject, text]) => `${subject}: ${text ?? "gone"}`);
              throw new Error(`after the kills, the events do not say ${told.join(", ")}`, {
                cause: error,
              });
            });
        });
      },
    },
  ];
}
