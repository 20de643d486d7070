import assert from "node:assert/strict";
import { childKey } from "../child.ts";
import type { Applicable, Output } from "../connector.ts";
import { checkEvents } from "../check-event.ts";
import { isRecordChange, isUpsert } from "../event.ts";
import type { Case } from "./conformance.ts";
import { answeredElsewhere } from "./killed.ts";
import type { TransformBench } from "./transform.ts";
import { as, manyOf } from "./transform-samples.ts";

/** What a transform answers with. */
export function outputCases(bench: TransformBench): readonly Case[] {
  const { transform, config, samples, opened, module } = bench;
  const whenModule = (from: string): readonly Case[] => [
    {
      name: "gives the same in another process, whatever came before",
      run: () =>
        opened(async (apply) => {
          const { kind, name } = transform;
          const records = samples.filter(isUpsert);
          const changed = records.map((one, at) => as(one, records.at(at - 1) ?? one, 2));
          for (const some of [samples, changed]) {
            const order = { module: from, kind, name, config, samples: some } as const;
            const here = structuredClone(await apply(some)); // as plain as what came from there
            assert.deepEqual(here, await answeredElsewhere(order));
          }
        }),
    },
  ];

  return [
    {
      name: "answers with one slot per input, of a type it says it emits",
      run: () =>
        opened(async (apply) => {
          const inputs = manyOf(samples);
          const outputs = await apply(inputs);
          assert.equal(outputs.length, inputs.length);
          outputs.forEach((output, at) => {
            for (const { type } of eventsOf(output)) {
              const named = transform.emits.some((prefix) => type.startsWith(prefix));
              assert.ok(named || type === inputs[at]?.type, `emits ${type} unannounced`);
            }
          });
        }),
    },
    {
      name: "answers with sound events: what JSON can say, and the data of their type",
      run: () =>
        opened(async (apply) => {
          for (const event of (await apply(samples)).flatMap(eventsOf)) {
            assert.deepEqual(checkEvents([event]), [event]);
            assert.deepEqual(JSON.parse(JSON.stringify(event)), structuredClone(event)); // whatever its prototypes
            if (!isUpsert(event)) continue;
            if (event.type === "dev.sluice.record.upserted") {
              assert.equal(typeof event.data.after, "object", "a record without `after`");
              continue;
            }
            const { text, metadata } = event.data;
            assert.equal(typeof text, "string", "a document without `text`");
            assert.ok(metadata !== null && typeof metadata === "object", "without `metadata`");
            for (const [name, value] of Object.entries(metadata)) {
              const isFlat =
                Array.isArray(value) || ["string", "number", "boolean"].includes(typeof value);
              assert.ok(isFlat, `metadata "${name}" is ${JSON.stringify(value)}`);
            }
          }
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
          const inputs = samples.map(told);
          const outputs = await apply(inputs);
          outputs.forEach((output, at) => {
            const input = inputs[at];
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
              if (isUpsert(event) && isUpsert(input) && !isSplit)
                assert.deepEqual(event.data.key, input.data.key, "the record's key is another");
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
    ...(module === undefined ? [] : whenModule(module)),
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

/** With all that must come along, whatever it is about. */
function told(sample: Applicable): Applicable {
  return {
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    correlationid: "kit",
    audience: "kit",
    ...sample,
  };
}

/** A record that becomes a message keeps its own too. */
function identity(event: Applicable, subject: string | undefined, ofRecord: boolean) {
  const { source, traceparent, correlationid, audience } = event;
  const ofAll = { source, subject, traceparent, correlationid, audience };
  if (!ofRecord) return ofAll;
  const { sequence, partitionkey, time } = event;
  return { ...ofAll, sequence, partitionkey, time };
}

function freeze(value: unknown) {
  if (value === null || typeof value !== "object") return;
  Object.values(value).forEach(freeze);
  Object.freeze(value);
}
