import assert from "node:assert/strict";
import type { Applicable, Output, Transform } from "../connector.ts";
import { isRecordChange } from "../event.ts";
import { definitionCases, type Case } from "./conformance.ts";
import { context } from "./fakes/context.ts";

/** What the runner relies on in a transform. `samples`: at least two inputs that it accepts. */
export function transformConformance(given: {
  readonly transform: Transform;
  readonly config: Record<string, unknown>;
  readonly samples: readonly Applicable[];
}): readonly Case[] {
  const { transform, config, samples } = given;

  const opened = async (
    use: (
      apply: (events: readonly Applicable[], signal?: AbortSignal) => Promise<readonly Output[]>,
    ) => Promise<void>,
  ) => {
    const worker = await transform.open(context({ config: transform.config.parse(config) }));
    try {
      await use((events, signal = new AbortController().signal) =>
        worker.apply(events, { signal }),
      );
    } finally {
      await worker.close?.();
    }
  };

  return [
    ...definitionCases(transform, config),
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
    {
      name: "answers with one slot per input, of a type it says it emits",
      run: () =>
        opened(async (apply) => {
          const outputs = await apply(samples);
          assert.equal(outputs.length, samples.length);
          outputs.forEach((output, at) => {
            if (output === null || output === "skip") return;
            const { type } = output;
            const named = transform.emits.some((prefix) => type.startsWith(prefix));
            assert.ok(named || type === samples[at]?.type, `emits ${type} unannounced`);
          });
        }),
    },
    {
      name: "keeps each record's identity",
      run: () =>
        opened(async (apply) => {
          const outputs = await apply(samples);
          outputs.forEach((output, at) => {
            const input = samples[at];
            if (!input || output === null || output === "skip") return;
            assert.deepEqual(identity(output), identity(input));
            const isDerived = output.id === input.id || output.id.startsWith(`${input.id}~`);
            assert.ok(isDerived, `id ${output.id} does not begin with ${input.id}~`);
          });
        }),
    },
    {
      name: "gives the same for the same, at once, one by one and in a new worker",
      run: async () => {
        let first: readonly Output[] = [];
        await opened(async (apply) => {
          first = await apply(samples);
          assert.deepEqual(await apply(samples), first);
        });
        await opened(async (apply) => {
          const singly: Output[] = [];
          for (const sample of samples.toReversed()) singly.unshift(...(await apply([sample])));
          assert.deepEqual(singly, first);
        });
      },
    },
    {
      name: "leaves its input as it was",
      run: () =>
        opened(async (apply) => {
          const inputs = structuredClone(samples);
          inputs.forEach(freeze);
          await apply(inputs);
          assert.deepEqual(inputs, samples);
        }),
    },
    {
      name: "answers nothing with nothing",
      run: () => opened(async (apply) => assert.deepEqual(await apply([]), [])),
    },
    {
      name: "settles within a second of an abort",
      run: () =>
        opened(async (apply) => {
          const aborter = new AbortController();
          // To refuse is fine: the runner hands the events back.
          const applying = Promise.allSettled([apply(samples, aborter.signal)]);
          const start = performance.now();
          aborter.abort();
          await applying;
          assert.ok(performance.now() - start < 1_000, "took too long");
        }),
    },
    {
      name: "can be closed twice",
      run: async () => {
        const worker = await transform.open(context({ config: transform.config.parse(config) }));
        await worker.close?.();
        await worker.close?.();
      },
    },
  ];
}

function identity(event: Applicable) {
  const { source, subject, traceparent } = event;
  if (!isRecordChange(event)) return { source, subject, traceparent };
  const { sequence, partitionkey, time } = event;
  return { source, subject, sequence, partitionkey, time, traceparent };
}

function freeze(value: unknown) {
  if (value === null || typeof value !== "object") return;
  Object.values(value).forEach(freeze);
  Object.freeze(value);
}
