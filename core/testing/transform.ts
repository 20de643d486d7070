import assert from "node:assert/strict";
import type { Applicable, Output, Transform, TransformWorker } from "../connector.ts";
import { definitionCases, type Case, type WrittenConfig } from "./conformance.ts";
import { context } from "./fakes/context.ts";
import { settlesOnAbort } from "./held-answers.ts";
import { leavesNothing } from "./leftovers.ts";
import { secretCases } from "./secrets.ts";
import { chainCases } from "./transform-chain.ts";
import { outputCases } from "./transform-outputs.ts";

/** What the cases of a transform share. */
export interface TransformBench {
  readonly transform: Transform;
  readonly config: WrittenConfig;
  readonly samples: readonly Applicable[];
  readonly poison: Applicable | undefined;
  readonly module: string | undefined;
  /** Opens a worker, and closes it whatever happens. */
  readonly opened: (
    use: (
      apply: (events: readonly Applicable[], signal?: AbortSignal) => Promise<readonly Output[]>,
      worker: TransformWorker,
    ) => Promise<void>,
    signal?: AbortSignal,
  ) => Promise<void>;
}

/**
 * What the runner relies on in a transform. `samples`: at least two inputs that it accepts; if it drops some
 * or splits, of each kind one. Aborts are tried while no socket of this process hears anything. `poison`: an input that it refuses for good, where there is such. `module`, the
 * URL of the module that exports the transform, has it asked in a process of its own too.
 */
export function transformConformance(given: {
  readonly transform: Transform;
  readonly config: Record<string, unknown>;
  readonly samples: readonly Applicable[];
  readonly poison?: Applicable;
  readonly module?: URL | string;
}): readonly Case[] {
  const { transform, config, samples, poison } = given;
  const module = given.module && String(given.module);
  const open = (signal?: AbortSignal) =>
    transform.open(context({ config: transform.config.parse(config), ...(signal && { signal }) }));
  const opened: TransformBench["opened"] = async (use, told) => {
    const worker = await open(told);
    try {
      await use(
        (events, signal = new AbortController().signal) => worker.apply(events, { signal }),
        worker,
      );
    } finally {
      await worker.close?.();
    }
  };
  const bench: TransformBench = { transform, config, samples, poison, module, opened };

  return [
    ...definitionCases(transform, config),
    ...secretCases(transform, config, async (told) => {
      const worker = await transform.open(told);
      const { signal } = told;
      try {
        return await Promise.allSettled(
          [samples, ...(poison ? [[poison]] : [])].map(
            async (some) => await worker.apply(some, { signal }),
          ),
        );
      } finally {
        await worker.close?.();
      }
    }),
    {
      name: "accepts the samples' types",
      run: async () => {
        assert.ok(samples.length >= 2, "give at least two samples");
        for (const { type } of samples)
          assert.ok(
            transform.accepts.some((prefix) => type.startsWith(prefix)),
            `does not say that it accepts ${type}`,
          );
      },
    },
    ...outputCases(bench),
    ...chainCases(bench),
    {
      name: "settles within a second of an abort",
      run: () =>
        // To refuse is fine: the runner hands the events back.
        opened((apply) => settlesOnAbort("a call", (signal) => apply(samples, signal))),
    },
    {
      name: "can be closed twice",
      run: async () => {
        const worker = await open();
        await worker.close?.();
        await worker.close?.();
      },
    },
    {
      name: "leaves nothing open: no timer, socket, file, thread, child or listener",
      run: () =>
        leavesNothing((signal) =>
          opened(async (apply) => void (await apply(samples, signal)), signal),
        ),
    },
  ];
}
