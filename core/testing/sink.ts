import assert from "node:assert/strict";
import type { Sink, Writer } from "../connector.ts";
import {
  definitionCases,
  word,
  type Case,
  type Outage,
  type WrittenConfig,
} from "./conformance.ts";
import { context, writeRun } from "./fakes/context.ts";
import { state, type FakeState } from "./fakes/state.ts";
import { leavesNothing } from "./leftovers.ts";
import { hand, sampleFor, withOp, type Hand, type Sample } from "./sample.ts";
import { secretCases } from "./secrets.ts";
import { sinkExtentCases } from "./sink-extent.ts";
import { sinkDeadlineCases } from "./sink-deadline.ts";
import { sinkFailureCases } from "./sink-failures.ts";
import { sinkKillCases } from "./sink-kills.ts";
import { sinkOrderCases } from "./sink-order.ts";
import { sinkOutageCases } from "./sink-outages.ts";
import { sinkReopenedCases } from "./sink-reopened.ts";
import { sinkVersionCases } from "./sink-versions.ts";

/** What the cases of a sink share. */
export interface SinkBench {
  readonly sink: Sink;
  readonly config: WrittenConfig;
  readonly sample: Sample;
  /** Opens a writer over an origin of its own, and closes it whatever happens. */
  readonly opened: (
    use: (origin: Hand) => Promise<void>,
    over?: { readonly state: FakeState },
  ) => Promise<void>;
  /** Which texts the target shows now. */
  readonly assertHolds: (expected: Readonly<Record<string, boolean>>) => Promise<void>;
}

/**
 * What the runner relies on in a sink. `read` answers with everything the target holds, as its readers
 * see it: a sink that only appends (a log) is judged by what is left after replaying it. `sample` makes
 * an upsert; by default a document of one chunk a text where the sink accepts documents, else a record.
 * `poison` makes one that the target refuses for good, where there is such. `module`, the URL of the module
 * that exports the sink, has it killed at each step: its target must outlive a process. `outage` has the target refuse or
 * fail every request, `stall` take requests and answer none: give what can be made, or neither is tried.
 */
export function sinkConformance(given: {
  readonly sink: Sink;
  readonly config: Record<string, unknown>;
  readonly read: () => Promise<unknown>;
  readonly sample?: Sample;
  readonly poison?: Sample;
  readonly module?: URL | string;
  readonly outage?: Outage;
  readonly stall?: Outage;
}): readonly Case[] {
  const { sink, config, read, poison, module, outage, stall } = given;
  const sample = given.sample ?? sampleFor(sink);
  const open = (place: FakeState): Promise<Writer> =>
    sink.open(context({ config: sink.config.parse(config), state: place.state }));
  const opened: SinkBench["opened"] = async (use, { state: place } = { state: state() }) => {
    const writer = await open(place);
    try {
      await use(hand(writer, sample));
    } finally {
      await writer.close();
    }
  };
  const assertHolds: SinkBench["assertHolds"] = async (expected) => {
    const all = JSON.stringify(await read());
    const wrong = Object.entries(expected).flatMap(([text, isThere]) =>
      all.includes(text) === isThere ? [] : [isThere ? `lacks "${text}"` : `still holds "${text}"`],
    );
    assert.deepEqual(wrong, [], `by what \`read\` answers, the target ${wrong.join(", ")}`);
  };
  const countOf = async (text: string) => JSON.stringify(await read()).split(text).length - 1;
  const bench: SinkBench = { sink, config, sample, opened, assertHolds };

  return [
    ...definitionCases(sink, config),
    ...secretCases(sink, config, async (told) => {
      const writer = await sink.open(told);
      try {
        const { put } = hand(writer, sample);
        await writer.write([put("r", 1, word())], writeRun({ signal: told.signal }));
      } finally {
        await writer.close();
      }
    }),
    {
      name: "holds what it was given, whether it is new, has changed or was read in a snapshot",
      run: () =>
        opened(async ({ put, write }) => {
          const ops = ["create", "update", "read"] as const;
          const texts = ops.map(() => word());
          await write(ops.map((op, at) => withOp(put(`r${at}`, 1, texts[at] ?? ""), op)));
          await assertHolds(Object.fromEntries(texts.map((text) => [text, true])));
        }),
    },
    {
      name: "the same batch twice is as good as once",
      run: () =>
        opened(async ({ put, write }) => {
          const text = word();
          const batch = [put("r", 1, text), put("s", 1, word())];
          await write(batch);
          const once = await countOf(text);
          await write(batch, { redelivered: true });
          assert.equal(await countOf(text), once, "the batch, written twice, is there twice");
        }),
    },
    {
      name: "a change replaces what was there",
      run: () =>
        opened(async ({ put, write }) => {
          const [old, fresh] = [word(), word()];
          await write([put("r", 1, old)]);
          await write([put("r", 2, fresh)]);
          await assertHolds({ [old]: false, [fresh]: true });
        }),
    },
    {
      name: "a delete of what is absent succeeds",
      run: () => opened(async ({ remove, write }) => write([remove("never-there", 1)])),
    },
    {
      name: "records of different origins are strangers",
      run: () =>
        opened(async (one) => {
          const [ours, theirs] = [word(), word()];
          const other = one.stranger();
          await one.write([one.put("r", 1, ours)]);
          await one.write([other.put("r", 1, theirs)]);
          await one.write([other.remove("r", 2)]);
          await assertHolds({ [ours]: true, [theirs]: false });
        }),
    },
    {
      name: "a clear removes what is below it, of its origin only",
      run: () =>
        opened(async (one) => {
          const [below, at, above, foreign] = [word(), word(), word(), word()];
          await one.write([one.put("below", 1, below), one.put("above", 3, above)]);
          await one.write([one.put("at", 2, at)]); // `below` is exclusive
          await one.write([one.stranger().put("below", 1, foreign)]);
          await one.write([one.clear(2)]);
          await one.write([one.clear(2)], { redelivered: true });
          await assertHolds({ [below]: false, [at]: true, [above]: true, [foreign]: true });
        }),
    },
    ...sinkOrderCases(bench),
    ...sinkVersionCases(bench),
    ...(module === undefined ? [] : sinkKillCases(bench, String(module))), // while little is there
    ...sinkExtentCases(bench),
    ...sinkFailureCases(bench, poison),
    ...sinkDeadlineCases(bench),
    ...sinkOutageCases(bench, { outage, stall }),
    ...sinkReopenedCases(bench, module),
    {
      name: "can be closed twice",
      run: () => opened(async ({ close }) => close()),
    },
    {
      name: "leaves nothing open: no timer, socket, file, thread, child or listener",
      run: () =>
        leavesNothing((signal) =>
          opened(({ put, write }) => write([put("r", 1, word())], { signal })),
        ),
    },
  ];
}
