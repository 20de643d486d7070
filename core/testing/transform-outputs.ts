import assert from "node:assert/strict";
import { childKey } from "../child.ts";
import type { Applicable, Output } from "../connector.ts";
import { isRecordChange } from "../event.ts";
import type { Case } from "./conformance.ts";
import type { TransformBench } from "./transform.ts";

/** What a transform answers with. */
export function outputCases({ transform, samples, opened }: TransformBench): readonly Case[] {
  return [
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
      run: () =>
        opened(async (apply, { splits }) => {
          const outputs = await apply(samples);
          assert.ok(splits || !outputs.some(Array.isArray), "returns arrays without `splits`");
        }),
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
      name: "mixes nothing up while partitions are worked on at once",
      run: () =>
        opened(async (apply) => {
          const alone: (readonly Output[])[] = [];
          for (const sample of samples) alone.push(await apply([sample]));
          const together = await Promise.all(samples.map((sample) => apply([sample])));
          assert.deepEqual(together, alone);
        }),
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
