/**
 * What the compiler must say to authors, and what it must not ask of them: `test/types.test.ts` compiles this as a
 * stranger's package does. Never run. Each `@ts-expect-error` is an error itself where the line compiles.
 */
import {
  defineEmbedder,
  defineListing,
  defineSink,
  defineSource,
  defineTransform,
  upserted,
  version,
  z,
  type Sink,
  type Source,
} from "sluice";
import { fakes, sinkConformance, sourceConformance } from "sluice/testing";

const about = { name: "x", version: "1.0.0", summary: "X." };
const config = z.strictObject({
  url: z.string(),
  everyMs: z.number().default(1_000),
  token: z.string().optional(),
});
const checkpoint = z.strictObject({ position: z.number() });
const source = {
  ...about,
  config,
  checkpoint,
  emits: ["dev.sluice.record."],
  capabilities: { deletes: true, snapshotOnRequest: false, replays: true, forgets: false },
};

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;
const holds = (truth: true) => truth;

export const inferred: Source = defineSource({
  ...source,
  async *read({ config: given, checkpoint: from, nextVersion }) {
    holds(
      true satisfies Same<
        typeof given,
        { url: string; everyMs: number; token?: string | undefined }
      >,
    );
    holds(true satisfies Same<typeof from, { position: number } | undefined>);
    // @ts-expect-error: no such option
    String(given.uri);
    // @ts-expect-error: it may not be there
    given.token.trim();
    const event = upserted({
      source: "/x",
      key: "1",
      subject: "1",
      version: nextVersion(),
      time: "2026-01-01T00:00:00Z",
      op: "create",
      after: { text: given.url },
      meta: {},
    });
    yield { events: [event], checkpoint: { position: 1 } };
  },
});

defineSource({
  ...source,
  // @ts-expect-error: a batch without its checkpoint
  async *read() {
    yield { events: [] };
  },
});

defineSource({
  ...source,
  // @ts-expect-error: a checkpoint of another shape
  async *read() {
    yield { events: [], checkpoint: { offset: 1 } };
  },
});

// @ts-expect-error: a source without a schema of its checkpoint
defineSource({
  ...about,
  config,
  emits: source.emits,
  capabilities: source.capabilities,
  async *read() {},
});

// @ts-expect-error: a promise that is not made
defineSource({ ...source, capabilities: { deletes: true }, async *read() {} });

upserted({
  source: "/x",
  key: "1",
  subject: "1",
  version: version({ epoch: 0, position: 1n, rank: 1, tail: 0 }),
  time: "2026-01-01T00:00:00Z",
  // @ts-expect-error: a delete is made with `deleted`
  op: "delete",
  after: {},
  meta: {},
});

// @ts-expect-error: a position is a bigint, for it may be larger than a number holds
version({ epoch: 0, position: 1, rank: 1, tail: 0 });

export const listing: Source = defineListing({
  ...about,
  config,
  deletes: true,
  async *list({ config: given }) {
    yield { key: given.url, after: {} };
  },
});

defineListing({
  ...about,
  config,
  deletes: true,
  // @ts-expect-error: a record says what it holds
  async *list({ config: given }) {
    yield { key: given.url };
  },
});

defineListing({
  ...about,
  // @ts-expect-error: it is asked how often to list
  config: z.strictObject({ url: z.string() }),
  deletes: true,
  async *list() {},
});

defineTransform({
  ...about,
  config,
  accepts: [""],
  emits: [""],
  open: async ({ config: { everyMs } }) => ({
    apply: async (events) =>
      events.map((event, at) => (at > everyMs ? null : at === 0 ? "skip" : event)),
  }),
});

defineTransform({
  ...about,
  config,
  accepts: [""],
  emits: [""],
  // @ts-expect-error: a slot is an event, events, null or "skip"
  open: async () => ({
    apply: async (events) => events.map(() => "drop"),
  }),
});

export const sink: Sink = defineSink({
  ...about,
  config,
  accepts: [""],
  open: async () => ({ write: async () => {}, close: async () => {} }),
});

// @ts-expect-error: a writer that cannot be closed
defineSink({ ...about, config, accepts: [""], open: async () => ({ write: async () => {} }) });

// @ts-expect-error: a connector needs a line that says what it is
defineSink({
  name: "x",
  version: "1",
  config,
  accepts: [],
  open: async () => ({ write: async () => {}, close: async () => {} }),
});

defineEmbedder({
  ...about,
  config,
  open: async ({ config: given }) => {
    holds(true satisfies Same<typeof given.everyMs, number>);
    return {
      fingerprint: "x",
      dimensions: 1,
      maxTexts: 1,
      maxTokens: 1,
      maxTokensPerRequest: 1,
      countTokens: (text) => text.length,
      embed: async (texts) => texts.map(() => new Float32Array(1)),
      close: async () => {},
    };
  },
});

const origin = { put: async (key: string) => key, remove: async () => {} };
export const cases = [
  ...sourceConformance({
    source: inferred,
    config: {},
    origin,
  }),
  ...sinkConformance({ sink, config: {}, read: async () => [fakes.record("1", {})] }),
];

// @ts-expect-error: a sink is no source
sourceConformance({ source: sink, config: {}, origin });
