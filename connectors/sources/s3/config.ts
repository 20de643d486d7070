import { z } from "sluice";

const notifications = z
  .strictObject({
    queueUrl: z
      .url({ protocol: /^https?$/, error: "a URL is wanted, and no name or ARN" })
      .describe("URL of the SQS queue that the bucket's events go to, and no others."),
    keys: z
      .enum(["auto", "encoded", "raw"])
      .default("auto")
      .describe(
        "How events write keys: URL-encoded as AWS does, raw as some other stores do, or told by the event itself.",
      ),
    visibilitySeconds: z
      .number()
      .int()
      .min(2)
      .max(3_600)
      .default(60)
      .describe("Seconds a message is hidden from others; renewed while it is worked on."),
    listEveryMs: z
      .number()
      .int()
      .min(1_000)
      .max(604_800_000)
      .default(3_600_000)
      .describe("Milliseconds between listings, which find what no event told of."),
  })
  .describe("Be told of changes through SQS; without it the bucket is listed again and again.");

const options = z.strictObject({
  bucket: z
    .string()
    .regex(/^(arn:\S+|[A-Za-z0-9][\w.-]{1,253}[A-Za-z0-9])$/, {
      error:
        "the name of a bucket alone (no s3:// before it; a path behind it goes into `prefixes`)",
    })
    .describe("Bucket to read."),
  prefixes: z
    .array(z.string())
    .min(1)
    .default([""])
    .describe("Beginnings of the keys wanted; only these are listed."),
  suffixes: z
    .array(z.string().min(1))
    .default([])
    .describe("Ends of the keys wanted, e.g. `.md`; all when empty."),
  include: z
    .array(z.string().min(1))
    .min(1)
    .default(["**"])
    .describe("Glob patterns of the keys wanted, matched against the whole key."),
  exclude: z
    .array(z.string().min(1))
    .default([])
    .describe("Glob patterns of keys left out, each with all keys below it."),
  maxBytes: z
    .number()
    .int()
    .min(1)
    .max(64 * 2 ** 20)
    .default(5_000_000)
    .describe(
      "Largest object read, bytes, also after decompression; a larger one is taken as absent, with a warning.",
    ),
  region: z
    .string()
    .min(1)
    .optional()
    .describe(
      "Region of the bucket; by default what the AWS SDK finds in environment and profile.",
    ),
  endpoint: z
    .url({ protocol: /^https?$/, error: "it begins with http:// or https://" })
    .optional()
    .describe("Endpoint of an S3-compatible store other than AWS."),
  pathStyle: z
    .boolean()
    .optional()
    .describe(
      "Put the bucket into the path, not the host name; by default where `endpoint` is given.",
    ),
  accessKeyId: z
    .string()
    .min(1)
    .optional()
    .describe(
      "Access key; by default the AWS SDK looks for credentials (environment, profile, role, instance).",
    ),
  secretAccessKey: z
    .string()
    .min(1)
    .optional()
    .meta({ secret: true })
    .describe("Secret of the access key."),
  sessionToken: z
    .string()
    .min(1)
    .optional()
    .meta({ secret: true })
    .describe("Session token of a temporary access key."),
  requesterPays: z
    .boolean()
    .default(false)
    .describe("Accept to pay for requests to a bucket whose owner asks for that."),
  everyMs: z
    .number()
    .int()
    .min(100)
    .max(86_400_000)
    .default(15_000)
    .describe("Milliseconds between listings while objects change."),
  idleEveryMs: z
    .number()
    .int()
    .min(100)
    .max(86_400_000)
    .default(300_000)
    .describe("Milliseconds the time between listings grows to while nothing changes."),
  readsAtOnce: z
    .number()
    .int()
    .min(1)
    .max(256)
    .default(32)
    .describe("Objects read side by side, at most."),
  notifications: notifications.optional(),
});

export const config = options.refine(
  ({ accessKeyId, secretAccessKey }) =>
    (accessKeyId === undefined) === (secretAccessKey === undefined),
  {
    path: ["secretAccessKey"],
    error: "accessKeyId and secretAccessKey go together: give both, or neither",
  },
);

export const checkpoint = z.object({
  /** A way through the bucket that is not finished. */
  pass: z
    .object({
      /** All keys up to this one are done. */
      after: z.string(),
      snapshot: z
        .object({
          below: z.string(),
          /** Also what is known is emitted. */
          isForced: z.boolean(),
          /** Of the request; the first snapshot was asked for by nobody. */
          id: z.string().optional(),
          audience: z.string().optional(),
          /** An object that was emitted before could not be read now: no sweep. */
          isPartial: z.boolean(),
        })
        .optional(),
    })
    .optional(),
});

export type Options = z.output<typeof config>;
export type Checkpoint = z.output<typeof checkpoint>;
