import { isLoopback, z } from "sluice";

const options = z.strictObject({
  host: z
    .string()
    .min(1)
    .default("127.0.0.1")
    .describe("Address to listen on; other than this machine's own, `token` is required."),
  port: z.number().int().min(0).max(65_535).describe("Port to listen on; 0 takes a free one."),
  token: z
    .string()
    .min(8)
    .regex(/^[!-~]+$/, "a text of printable ASCII without spaces")
    .meta({ secret: true })
    .optional()
    .describe("What callers send as `Authorization: Bearer …`."),
  types: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe(
      "Prefixes of the event types let in. By default questions, feedback, and what is not Sluice's own.",
    ),
  answers: z
    .string()
    .min(1)
    .optional()
    .describe("Topic of the answers, for callers who wait for the answer to their question."),
  maxWaitSeconds: z
    .number()
    .int()
    .min(1)
    .max(600)
    .default(60)
    .describe("Seconds a caller may wait for an answer, at most."),
  maxWaiting: z
    .number()
    .int()
    .min(1)
    .max(10_000)
    .default(500)
    .describe("Callers that wait for an answer at once, at most."),
  maxBytes: z
    .number()
    .int()
    .min(1_024)
    .max(64 * 2 ** 20)
    .default(2 ** 20)
    .describe("Largest body taken, bytes."),
  maxQueued: z
    .number()
    .int()
    .min(1)
    .max(100_000)
    .default(2_000)
    .describe("Requests that may be on their way into the topic at once, at most."),
  maxQueueSeconds: z
    .number()
    .int()
    .min(1)
    .max(600)
    .default(30)
    .describe("Seconds until a request that does not get into the topic is given back."),
  maxConnections: z
    .number()
    .int()
    .min(1)
    .max(65_535)
    .default(4_000)
    .describe("Open connections, at most."),
  requestSeconds: z
    .number()
    .int()
    .min(1)
    .max(600)
    .default(30)
    .describe(
      "Seconds in which a request must have come in whole; its headers in a third of that.",
    ),
});

export const config = options.refine(({ host, token }) => token !== undefined || isLoopback(host), {
  path: ["token"],
  error: "a token is required where others than this machine can reach `host`",
});

export type Options = z.output<typeof config>;
