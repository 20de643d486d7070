import { z } from "zod";
import { filterSchema } from "../filter.ts";
import { redisForms, redisPlace, wrongRedisOption } from "../state/redis/url.ts";

const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "up to 63 lower-case letters, digits and dashes");
const topic = z
  .string()
  .regex(/^[a-z0-9][a-z0-9.-]{0,62}$/, "up to 63 lower-case letters, digits, dots and dashes");
const place = z
  .string()
  .regex(
    /^(?:embedded(?::.+)?|rediss?(?:\+cluster|\+sentinel)?:\/\/.+)$/,
    '"embedded", "embedded:DIR", "redis://HOST:PORT" or "rediss://HOST:PORT"',
  )
  .refine((text) => !/^rediss?(?:\+\w+)?:\/\//.test(text) || redisPlace(text) !== undefined, {
    error: ({ input }) =>
      wrongRedisOption(String(input)) ??
      `Redis cannot be reached by this URL: write ${redisForms}, user and password percent-encoded`,
  });
const schemaUrl = z.string().optional().describe("Where editors find this schema.");
const options = z.record(z.string(), z.unknown()).default({});

const topicSettings = z.strictObject({
  partitions: z
    .int()
    .min(1)
    .max(256)
    .optional()
    .describe("How many batches may be worked on at once. Fixed once data exists. Default 4."),
  optional: z
    .boolean()
    .optional()
    .describe(
      "Without a subscriber, drop events (and count them) instead of holding the sources back. Default false.",
    ),
  maxWaiting: z
    .int()
    .min(1)
    .max(100_000)
    .optional()
    .describe(
      "Jobs that may wait for one partition of one subscription before the sources are held back. Default 100.",
    ),
});

/** A config file that holds a pipeline; each of its connectors is parsed by its kind. */
export const pipelineFile = z.strictObject({
  $schema: schemaUrl,
  project: name.optional().describe('Prefix of every key and queue. Default "sluice".'),
  queue: place
    .optional()
    .describe(
      'Where topics live: "embedded" (SQLite in .sluice beside the first file), "embedded:DIR" or "redis://…". Default: the environment variable SLUICE_QUEUE, else "embedded".',
    ),
  state: place
    .optional()
    .describe(
      "Where checkpoints and manifests live, written as for queue. Default: the queue's place.",
    ),
  topics: z.record(topic, topicSettings).optional().describe("Settings of topics, by name."),
  connectors: z.array(z.unknown()).min(1).describe("Sources, transforms and sinks."),
});

const common = {
  $schema: schemaUrl,
  name: name.describe(
    "The connector's name: lower-case letters, digits and dashes. Its subscription and state go by it.",
  ),
};

const initialState = z
  .enum(["running", "paused"])
  .default("running")
  .describe("`paused`: it waits for `sluice resume`, also after restarts, until somebody says so.");

const stage = z.strictObject({
  use: z.string().min(1).describe("A transform: a built-in, an npm package or a path like ./x.js."),
  config: options.describe("The transform's options."),
});

const consumer = {
  from: z
    .union([topic, z.array(topic).min(1)])
    .transform((from) => (typeof from === "string" ? [from] : [...new Set(from)]))
    .describe("The topic or topics it reads."),
  filter: filterSchema.optional(),
  transforms: z
    .array(stage)
    .default([])
    .describe("Transforms that run inside this connector, in order."),
  retry: z
    .strictObject({
      attempts: z
        .int()
        .min(1)
        .max(100)
        .default(5)
        .describe("Tries of an unexplained error before the events are looked at one by one."),
      maxDelayMs: z
        .int()
        .min(1)
        .max(3_600_000)
        .default(30_000)
        .describe("Longest wait between two tries, milliseconds."),
    })
    .prefault({})
    .describe("How errors are retried."),
  onPoison: z
    .enum(["continue", "park"])
    .default("continue")
    .describe(
      "What becomes of later events of a key after one that can never succeed. `continue`: they go on, for each says all of its record. `park`: they become dead letters behind it, until all of them are replayed or dropped.",
    ),
  whenFull: z
    .enum(["hold", "detach"])
    .default("hold")
    .describe(
      "What happens when as much waits for it as may. `hold`: the topic's sources wait. `detach`: what waits is dropped, and it is brought up to date by a snapshot once it goes on.",
    ),
};

const to = topic.describe("The topic it publishes to.");
const type = (kind: string) =>
  z.string().min(1).describe(`The ${kind}: a built-in, an npm package or a path like ./x.js.`);

/** One connector of a file, by kind. */
export const connectorFile = {
  source: z.strictObject({
    ...common,
    source: type("source"),
    to,
    config: options.describe("The source's options."),
    onGap: z
      .enum(["fail", "resnapshot"])
      .default("fail")
      .describe(
        "What happens when the origin no longer has the changes after the checkpoint. `fail`: the connector stops until somebody decides. `resnapshot`: everything is read again, and what is gone is removed.",
      ),
    durability: z
      .literal("accept-loss")
      .optional()
      .describe(
        "`accept-loss`: read an origin that forgets what was confirmed also into a queue that loses data at a restart.",
      ),
    initialState,
  }),
  transform: z.strictObject({
    ...common,
    transform: type("transform"),
    ...consumer,
    to,
    config: options.describe("The transform's options."),
    initialState,
  }),
  sink: z.strictObject({
    ...common,
    sink: type("sink"),
    ...consumer,
    config: options.describe("The sink's options."),
    initialState,
  }),
} as const;
