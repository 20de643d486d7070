import { z } from "sluice";
import type { Metric } from "./call.ts";

export const metric = z.enum(
  ["cosine", "dotproduct", "euclidean"],
  "Invalid field 'metric': must be cosine, dotproduct or euclidean",
);
export const dimension = z.number().int().min(1).max(20_000);
export const protection = z.enum(["enabled", "disabled"]);
export const tags = z.record(z.string(), z.string());
export const anything = z.record(z.string(), z.unknown());

/** Where an index would run, as it was asked for: told back, without effect. */
export const deployment = z.discriminatedUnion("deployment_type", [
  z.strictObject({ deployment_type: z.literal("managed"), cloud: z.string(), region: z.string() }),
  z.strictObject({ deployment_type: z.literal("byoc"), environment: z.string() }),
  z.strictObject({
    deployment_type: z.literal("pod"),
    environment: z.string(),
    pod_type: z.string().default("p1.x1"),
    replicas: z.number().int().min(1).default(1),
    shards: z.number().int().min(1).default(1),
  }),
]);

export const embed = z.object({
  model: z.string(),
  metric: metric.nullish(),
  dimension: dimension.nullish(),
  field_map: z.record(z.string(), z.string()),
  read_parameters: anything.nullish(),
  write_parameters: anything.nullish(),
});

/** What an index is, besides its name, dimension and metric. Files of format 1 have cloud and region instead of a deployment. */
export const settings = z.preprocess(
  (stored) => {
    const { cloud, region, ...rest } = anything.parse(stored);
    if (cloud === undefined) return rest;
    return { ...rest, deployment: { deployment_type: "managed", cloud, region } };
  },
  z.object({
    deployment,
    deletion_protection: protection.default("disabled"),
    tags: tags.default({}),
    readCapacity: anything.nullish(),
    metadataSchema: anything.nullish(),
    /** Of a pod index. */
    metadataConfig: anything.nullish(),
    /** Of the schema that it was made from, as asked. */
    fields: z.record(z.string(), anything).nullish(),
    embed: embed.nullish(),
    /** Milliseconds since the epoch. */
    created: z.number().default(0),
  }),
);
export type Settings = z.output<typeof settings>;

/** An index, but for what it holds. */
export interface IndexModel {
  readonly name: string;
  /** 0 on a sparse index. */
  readonly dimension: number;
  readonly metric: Metric;
  readonly settings: Settings;
}

export function withoutNull(value: object): object {
  return Object.fromEntries(Object.entries(value).filter(([, held]) => held != null));
}

/** What an index can be called. */
export const indexName = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?$/, "is no name that an index can have");
