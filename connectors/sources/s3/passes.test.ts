import { version } from "sluice";
import { expect, it } from "vitest";
import type { Pass } from "./pass.ts";
import { passes } from "./passes.ts";

it("a pass that went on where another process stopped is followed by a whole one at once", () => {
  const begun: string[] = [];
  const plan = passes(
    {
      checkpoint: { pass: { after: "m" } },
      nextVersion: () => version({ epoch: 1, position: 1n, rank: 0, tail: 0 }),
      refuse: async () => {},
      requests: (async function* () {})(),
    },
    {
      everyMs: 3_600_000,
      idleEveryMs: 3_600_000,
      isKnown: true,
      wake: () => {},
      fail: () => {},
      begin: ({ after }) => {
        begun.push(after);
        return { snapshot: undefined, tookMs: () => 0 } as Pass;
      },
    },
  );
  for (let turn = 0; turn < 3; turn++) {
    plan.advance();
    plan.finish();
  }
  expect(begun).toEqual(["m", ""]);
  expect(plan.dueInMs()).toBeGreaterThan(3_000_000);
});
