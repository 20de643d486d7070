import assert from "node:assert/strict";
import { childKey } from "../child.ts";
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
            for (const { type } of eventsOf(output)) {
              const named = transform.emits.some((prefix) => type.startsWith(prefix));
              assert.ok(named || type === samples[at]?.type, `emits ${type} unannounced`);
            }
          });
        }),
    },
    {
      name: "says that it splits if it does",
      run: async () => {
        const worker = await transform.open(context({ config: transform.config.parse(config) }));
        const outputs = await worker.apply(samples, { signal: new AbortController().signal });
        await worker.close?.();
        assert.ok(worker.splits || !outputs.some(Array.isArray), "returns arrays without `splits`");
      },
    },
    {
      name: "keeps each record's identity",
      run: () =>
        opened(async (apply) => {
          const outputs = await apply(samples);
          outputs.forEach((output, at) => {
            const input = samples[at];
            if (!input) return;
            const isSplit = Array.isArray(output);
            const subjects = new Set<string | undefined>();
            for (const event of eventsOf(output)) {
              const { subject } = event;
              const isPart = childKey(subject ?? "", input.subject ?? "") !== undefined;
              if (isSplit && isRecordChange(input))
                assert.ok(isPart, `the part ${subject} was not made by childOf`);
              assert.ok(!isPart || !subjects.has(subject), `two parts are ${subject}`);
              subjects.add(subject);
              const subjectOfAll: string | undefined = isSplit ? input.subject : subject;
              const ofRecord = isRecordChange(input);
              assert.deepEqual(
                identity(event, subjectOfAll, ofRecord),
                identity(input, input.subject, ofRecord),
              );
              const isDerived = event.id === input.id || event.id.startsWith(`${input.id}~`);
              assert.ok(isDerived, `id ${event.id} does not begin with ${input.id}~`);
            }
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

function eventsOf(output: Output): readonly Applicable[] {
  if (output === null || output === "skip") return [];
  return isMany(output) ? output : [output];
}

function isMany(output: Applicable | readonly Applicable[]): output is readonly Applicable[] {
  return Array.isArray(output);
}

/** A record that becomes a message keeps its own too. */
function identity(event: Applicable, subject: string | undefined, ofRecord: boolean) {
  const { source, traceparent } = event;
  if (!ofRecord) return { source, subject, traceparent };
  const { sequence, partitionkey, time } = event;
  return { source, subject, sequence, partitionkey, time, traceparent };
}

function freeze(value: unknown) {
  if (value === null || typeof value !== "object") return;
  Object.values(value).forEach(freeze);
  Object.freeze(value);
}
