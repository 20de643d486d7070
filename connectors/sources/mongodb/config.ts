import { z } from "sluice";
import { problemOfNames, problemOfScope } from "./capture.ts";
import { problemOf as problemOfFilter } from "./filter.ts";
import { problemOf as problemOfPipeline } from "./pipeline.ts";
import { problemOf as problemOfProjection } from "./projection.ts";

const images = "needs MongoDB 6.0 and the collection option `changeStreamPreAndPostImages`";

export const config = z
  .strictObject({
    url: z
      .string()
      .regex(/^mongodb(\+srv)?:\/\//, "a URL that starts with mongodb:// or mongodb+srv://")
      .meta({ secret: true })
      .describe(
        "Connection URL of a replica set or sharded cluster, with user, password and options as every driver takes them; `?tls=true` for TLS.",
      ),
    ca: z
      .string()
      .min(1)
      .meta({ path: true })
      .optional()
      .describe("PEM file of the authority that signed the server's certificate. Turns TLS on."),
    certificate: z
      .string()
      .min(1)
      .meta({ path: true })
      .optional()
      .describe("PEM file with our certificate and its key, for X.509. Turns TLS on."),
    collections: z
      .array(
        z
          .string()
          .regex(/^[^.\s$]+\.[^$]+$/, "`database.collection`, where `*` stands for any characters"),
      )
      .min(1)
      .describe(
        "Collections to capture, as `database.collection`; `*` stands for any characters: `shop.*`, `*.*`. One that does not exist yet is captured once it does.",
      ),
    scope: z
      .enum(["auto", "collection", "database", "deployment"])
      .default("auto")
      .describe(
        "Where the change stream is opened. `auto`: on the database, or on the deployment where `collections` are of several. `collection`: for a user who may read only that one.",
      ),
    snapshot: z
      .enum(["initial", "never"])
      .default("initial")
      .describe("`initial`: copy the collections, then follow. `never`: only follow, from now on."),
    filter: z
      .record(z.string(), z.unknown())
      .optional()
      .describe(
        "Which documents are wanted, as in `find`: field → value, or `$eq $ne $gt $gte $lt $lte $in $nin $exists $not`, joined by `$and $or $nor`. One that stops matching is deleted.",
      ),
    projection: z
      .record(z.string(), z.union([z.literal(0), z.literal(1), z.boolean()]))
      .optional()
      .describe("Which fields are wanted, as in `find`: path → 1, or path → 0 for all but these."),
    pipeline: z
      .array(z.record(z.string(), z.unknown()))
      .default([])
      .describe(
        "Stages that the server puts change events through: `$match` (not on `fullDocument`: that is `filter`), `$set` and `$unset` of fields in `fullDocument`. The copy goes through them too, as inserts.",
      ),
    json: z
      .enum(["relaxed", "canonical", "plain"])
      .default("relaxed")
      .describe(
        "How BSON is written. `relaxed`, `canonical`: MongoDB Extended JSON. `plain`: dates as RFC 3339, ObjectIds as hex digits, decimals as text.",
      ),
    fullDocument: z
      .enum(["updateLookup", "batchLookup", "whenAvailable", "required"])
      .default("updateLookup")
      .describe(
        `Where an update's document comes from. \`updateLookup\`: the server looks it up. \`batchLookup\`: we read those of a batch together, faster where most changes are updates. \`whenAvailable\`, \`required\`: the document as it was then; ${images}.`,
      ),
    fullDocumentBeforeChange: z
      .enum(["off", "whenAvailable", "required"])
      .default("off")
      .describe(
        `Send the document as it was before an update, replacement or delete; ${images}. Costs the server a read per event.`,
      ),
    parallel: z
      .number()
      .int()
      .min(1)
      .max(16)
      .default(4)
      .describe("Parts of a collection, by ranges of `_id`, that a copy reads at the same time."),
    chunkDocuments: z
      .number()
      .int()
      .min(1)
      .max(10_000)
      .default(1_000)
      .describe("Documents that a copy reads at once; fewer where they are large (16 MB)."),
    heartbeatMs: z
      .number()
      .int()
      .min(100)
      .max(3_600_000)
      .default(30_000)
      .describe(
        "Milliseconds after which the position is stored though nothing happened, so that it does not fall out of the oplog.",
      ),
  })
  .superRefine((options, context) => {
    const refuse = (path: string, problem: string | undefined) =>
      problem !== undefined && context.addIssue({ code: "custom", path: [path], message: problem });
    refuse("collections", problemOfNames(options.collections));
    refuse("scope", problemOfScope(options));
    refuse("pipeline", problemOfPipeline(options.pipeline));
    if (options.filter) refuse("filter", problemOfFilter(options.filter));
    if (options.projection) refuse("projection", problemOfProjection(options.projection));
  });

export type Options = z.output<typeof config>;
