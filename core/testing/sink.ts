import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Sink, Writer } from "../connector.ts";
import {
  cleared,
  deleted,
  upserted,
  type DocumentUpserted,
  type RecordChange,
  type UpsertEvent,
} from "../event.ts";
import { version, type Version } from "../version.ts";
import { definitionCases, word, type Case } from "./conformance.ts";
import { context, writeRun } from "./fakes/context.ts";
import { state } from "./fakes/state.ts";

/** Makes the upsert a sink is given: a record that holds `texts`, in that order. */
export type Sample = (
  about: Omit<Parameters<typeof upserted>[0], "op" | "after">,
  texts: readonly string[],
) => UpsertEvent;

/**
 * What the runner relies on in a sink. `read` answers with everything the target holds, as its readers
 * see it: a sink that only appends (a log) is judged by what is left after replaying it. `sample` makes
 * an upsert; by default a document of one chunk a text where the sink accepts documents, else a record.
 */
export function sinkConformance(given: {
  readonly sink: Sink;
  readonly config: Record<string, unknown>;
  readonly read: () => Promise<unknown>;
  readonly sample?: Sample;
}): readonly Case[] {
  const { sink, config, read } = given;
  const isOfDocuments = sink.accepts.some((prefix) => prefix.startsWith("dev.sluice.document."));
  const sample = given.sample ?? (isOfDocuments ? documentOf : recordOf);

  const opened = async (use: (origin: Hand) => Promise<void>) => {
    const writer = await sink.open(
      context({ config: sink.config.parse(config), state: state().state }),
    );
    try {
      await use(hand(writer, sample));
    } finally {
      await writer.close();
    }
  };
  const assertHolds = async (expected: Readonly<Record<string, boolean>>) => {
    const all = JSON.stringify(await read());
    const found = Object.keys(expected).map((text) => [text, all.includes(text)] as const);
    assert.deepEqual(Object.fromEntries(found), expected);
  };
  const countOf = async (text: string) => JSON.stringify(await read()).split(text).length - 1;

  return [
    ...definitionCases(sink, config),
    {
      name: "holds what it was given",
      run: () =>
        opened(async ({ put, write }) => {
          const texts = [word(), word(), word()];
          await write(texts.map((text, at) => put(`r${at}`, 1, text)));
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
          assert.equal(await countOf(text), once);
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
      name: "a record that shrinks leaves nothing behind",
      run: () =>
        opened(async ({ put, write }) => {
          const [stays, goes] = [word(), word()];
          await write([put("r", 1, stays, goes)]);
          await write([put("r", 2, stays)]);
          await assertHolds({ [stays]: true, [goes]: false });
        }),
    },
    {
      name: "of equal versions the later one stands",
      run: () =>
        opened(async ({ put, write }) => {
          const [first, later] = [word(), word()];
          await write([put("r", 1, first)]);
          await write([put("r", 1, later)]);
          await assertHolds({ [first]: false, [later]: true });
        }),
    },
    {
      name: "an older version after a newer one changes nothing",
      run: () =>
        opened(async ({ put, remove, write }) => {
          const [newer, older] = [word(), word()];
          await write([put("r", 5, newer)]);
          await write([put("r", 4, older)]);
          await write([remove("r", 3)]);
          await assertHolds({ [newer]: true, [older]: false });
        }),
    },
    {
      name: "a delete removes, and what is older does not come back",
      run: () =>
        opened(async ({ put, remove, write }) => {
          const [gone, late, back] = [word(), word(), word()];
          await write([put("r", 2, gone)]);
          await write([remove("r", 4)]);
          await write([put("r", 3, late)]);
          await assertHolds({ [gone]: false, [late]: false });
          await write([put("r", 5, back)]);
          await assertHolds({ [back]: true });
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
          const [below, above, foreign] = [word(), word(), word()];
          await one.write([one.put("below", 1, below), one.put("above", 3, above)]);
          await one.write([one.stranger().put("below", 1, foreign)]);
          await one.write([one.clear(2)]);
          await one.write([one.clear(2)], { redelivered: true });
          await assertHolds({ [below]: false, [above]: true, [foreign]: true });
        }),
    },
    {
      name: "can be closed twice",
      run: () => opened(async ({ close }) => close()),
    },
    {
      name: "refuses to write after an abort",
      run: () =>
        opened(async ({ put, write }) => {
          const text = word();
          const signal = AbortSignal.abort();
          await assert.rejects(write([put("r", 1, text)], { signal }));
          await assertHolds({ [text]: false });
        }),
    },
  ];
}

/** Writes the changes of one origin of its own. */
function hand(writer: Writer, sample: Sample) {
  const of = (source: string) => {
    const about = (subject: string, at: number) => ({
      source,
      subject,
      key: subject,
      version: sequenceAt(at),
      time: new Date().toISOString(),
      meta: {},
    });
    return {
      put: (subject: string, at: number, ...texts: readonly string[]) =>
        sample(about(subject, at), texts),
      remove: (subject: string, at: number) => deleted(about(subject, at)),
      clear: (at: number) => {
        const { version: below, ...rest } = about("*", at);
        return cleared({ ...rest, below, reason: "sweep" });
      },
    };
  };
  return {
    ...of(`/kit/${word()}`),
    stranger: () => of(`/kit/${word()}`),
    write: (events: readonly RecordChange[], run: Parameters<typeof writeRun>[0] = {}) =>
      writer.write(events, writeRun(run)),
    close: () => writer.close(),
  };
}
type Hand = ReturnType<typeof hand>;

function sequenceAt(position: number): Version {
  return version({ epoch: 1, position: BigInt(position), rank: 0, tail: 0 });
}

const recordOf: Sample = (about, texts) =>
  upserted({ ...about, op: "update", after: { text: texts.join("\n\n") } });

const documentOf: Sample = (about, texts) => {
  const text = texts.join("\n\n");
  const record = upserted({ ...about, op: "update", after: {} });
  const document: DocumentUpserted = {
    ...record,
    type: "dev.sluice.document.upserted",
    data: {
      key: about.key,
      text,
      metadata: {},
      lineage: ["kit@1.0.0:00000000"],
      chunks: texts.map((part) => {
        const start = text.indexOf(part);
        return { id: `${hashOf(part)}~0`, text: part, start, end: start + part.length };
      }),
    },
  };
  return document;
};

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
