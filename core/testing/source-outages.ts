import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { ConfigError, PoisonError, PositionLostError } from "../errors.ts";
import { settles, through, within, word, type Case, type Outage } from "./conformance.ts";
import type { SourceRun } from "./fakes/run.ts";
import { state } from "./fakes/state.ts";
import { during, heldAfter, of, sees } from "./observed.ts";
import { assertKept } from "./secrets.ts";
import type { SourceBench } from "./source.ts";

/** For a source to ask its origin, and to wait for the answer. */
const askingMs = 400;
const promptMs = 1_000;

/** What a source does while its origin fails, or does not answer. */
export function outageCases(
  { source, config, origin, patienceMs, start }: SourceBench,
  { outage, stall }: { readonly outage?: Outage | undefined; readonly stall?: Outage | undefined },
): readonly Case[] {
  /** A connection that the outage broke may cost another run. */
  const goesOn = (started: () => Promise<SourceRun>, text: string) =>
    settles(patienceMs, async () => during(await started(), (reading) => sees(reading, text)));

  const whenOutage = (given: Outage): readonly Case[] => [
    {
      name: "tells of an outage, takes nothing for gone because of it, and goes on after it",
      run: async () => {
        const place = state();
        const [text, fresh] = [word(), word()];
        const subject = await origin.put(word(), text);
        const runs: SourceRun[] = [];
        const assertThere = () => {
          const events = runs.flatMap((one) => one.events);
          const last = of(events, subject).map(({ type }) => type);
          assert.ok(!last.includes("dev.sluice.record.deleted"), "deleted what it cannot see");
          assert.ok(heldAfter(events).get(subject)?.includes(text), "swept what it cannot see");
        };
        const started = async () => {
          const reading = await start({ state: place });
          runs.push(reading);
          return reading;
        };
        const running = await started();
        try {
          await sees(running, text);
        } catch (error) {
          await running.stop();
          throw error;
        }
        const lines = running.lines.length;
        await through(given, async () => {
          await tells(running, { after: lines, patienceMs: patienceMs * 4 });
          // As the runner tries again.
          await tells(await started(), { after: 0, patienceMs: patienceMs * 4 });
        });
        assertThere();
        await origin.put(word(), fresh);
        await goesOn(started, fresh);
        assertThere();
        const ends = await Promise.allSettled(runs.map(({ ended }) => ended));
        assertKept(source, config, {
          "what it threw": ends,
          "its log": runs.map((one) => one.lines),
        });
      },
    },
  ];

  const whenStall = (given: Outage): readonly Case[] => [
    {
      name: "returns within a second of an abort while its origin does not answer",
      run: async () => {
        const place = state();
        const [text, fresh] = [word(), word()];
        await origin.put(word(), text);
        const running = await start({ state: place });
        await sees(running, text).catch(async (error: unknown) => {
          await running.stop();
          throw error;
        });
        await through(given, async () => {
          await stopsAsking(running);
          await stopsAsking(await start({ state: place }));
        });
        await origin.put(word(), fresh);
        await goesOn(() => start({ state: place }), fresh);
      },
    },
  ];

  return [...(outage ? whenOutage(outage) : []), ...(stall ? whenStall(stall) : [])];
}

/** Ends a run that asks and gets no answer; it may have lost patience before, and said so. */
async function stopsAsking(reading: SourceRun): Promise<void> {
  await sleep(askingMs);
  await within(promptMs, reading.stop().catch(mayPass));
}

/** Throws what an origin that is away is not to be called. */
function mayPass(error: unknown): void {
  const isFinal =
    error instanceof ConfigError ||
    error instanceof PoisonError ||
    error instanceof PositionLostError;
  assert.ok(
    !isFinal,
    `calls an outage a ${error instanceof Error ? error.name : ""}: ${String(error)}`,
  );
}

/** Waits until a run has told of an outage, by its error or in its log; lets it go on for a while, and ends it. */
async function tells(
  reading: SourceRun,
  { after, patienceMs }: { readonly after: number; readonly patienceMs: number },
): Promise<void> {
  const errors: unknown[] = [];
  reading.ended.catch((error: unknown) => errors.push(error));
  const isLoud = () =>
    reading.lines.slice(after).some(({ level }) => level === "warn" || level === "error");
  try {
    await settles(patienceMs, async () =>
      assert.ok(
        errors.length > 0 || isLoud(),
        "no error, and no line of warn or error, told of it",
      ),
    );
    await sleep(askingMs);
  } finally {
    const stopped = reading.stop().catch(() => {}); // one of `errors`
    await within(promptMs, stopped, "to return from an abort in an outage");
  }
  errors.forEach(mayPass);
}
