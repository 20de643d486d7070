import { afterAll, beforeAll, describe, it } from "vitest";
import type { StateWrite } from "sluice";
import type { FakeState } from "sluice/testing";
import { openBench, startPostgres, type Bench } from "./harness.ts";
import type { PostgresServer } from "../../../../test/postgres-server.ts";

/** Declares a scenario that has a database of its own on a server shared by the file. */
export type Scenario = (name: string, run: (bench: Bench) => Promise<void>, ms?: number) => void;

/** Declares the scenarios of a file on the oldest and the newest server that the spec was measured on. */
export function onBoth(
  declare: (
    scenario: Scenario,
    about: { readonly version: 15 | 18; readonly server: () => PostgresServer },
  ) => void,
  settings: Readonly<Record<string, string>> = {},
): void {
  for (const version of [15, 18] as const)
    describe(`postgres ${version}`, () => {
      let server: PostgresServer;
      beforeAll(async () => {
        server = await startPostgres({ version, settings });
      });
      afterAll(() => server.stop());
      const scenario: Scenario = (name, run, ms = 60_000) =>
        it(
          name,
          async () => {
            const bench = await openBench(server);
            try {
              await run(bench);
            } finally {
              await bench.close();
            }
          },
          ms,
        );
      declare(scenario, { version, server: () => server });
    });
}

/**
 * A state in which the process dies where a batch is stored: `before` it is, or right `after`, when
 * its `yield` has not returned yet. Once; `crashed` says whether it has.
 */
export function crashing(
  place: FakeState,
  when: (writes: readonly StateWrite[]) => "before" | "after" | undefined,
): { readonly state: FakeState; readonly crashed: () => boolean } {
  let hasCrashed = false;
  return {
    crashed: () => hasCrashed,
    state: {
      ...place,
      state: {
        ...place.state,
        all: async (writes, fence) => {
          const what = hasCrashed ? undefined : when(writes);
          if (what) hasCrashed = true;
          if (what === "before") throw new Crash();
          const isStored = await place.state.all(writes, fence);
          if (what === "after") throw new Crash();
          return isStored;
        },
      },
    },
  };
}

export class Crash extends Error {
  override readonly name = "Crash";
}
