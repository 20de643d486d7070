import { z } from "sluice";

/** What the sink itself says in headers. */
const reserved =
  /^(content-(type|length|encoding)|host|connection|transfer-encoding|expect|upgrade|te|trailer|keep-alive|ce-.*|webhook-.*)$/i;

export const config = z.strictObject({
  url: z
    .url({ protocol: /^https?$/, error: "must be an http or https URL" })
    .refine((url) => !URL.canParse(url) || new URL(url).username + new URL(url).password === "", {
      error: "must hold no user and password: put them into headers, as authorization",
    })
    .meta({ secret: true })
    .describe("Where events are POSTed. Taken as a secret, for in many webhooks it is one."),
  mode: z
    .enum(["structured", "binary", "batch"])
    .default("structured")
    .describe(
      "How an event is sent: whole in the body, its attributes in headers, or many in one body.",
    ),
  maxBatch: z
    .number()
    .int()
    .min(1)
    .max(1_000)
    .default(100)
    .describe("Events in one body, at most; for the mode batch."),
  headers: z
    .record(
      z
        .string()
        .regex(/^[!#$%&'*+.^_`|~0-9a-zA-Z-]+$/, "is no name of a header")
        .refine((name) => !reserved.test(name), "is set by the sink itself"),
      z
        .string()
        .regex(/^[ -~]*$/, "a text of printable ASCII")
        .meta({ secret: true }),
    )
    .default({})
    .describe("Headers of every request, e.g. authorization."),
  secret: z
    .string()
    .min(16)
    .refine(
      (text) => !text.startsWith("whsec_") || /^[\w+/-]+={0,2}$/.test(text.slice("whsec_".length)),
      "whsec_ is followed by base64",
    )
    .meta({ secret: true })
    .optional()
    .describe("Signs every request, as Standard Webhooks have it."),
  timeoutSeconds: z
    .number()
    .int()
    .min(1)
    .max(300)
    .default(30)
    .describe("Seconds in which a request must be answered."),
});

export type Options = z.output<typeof config>;
