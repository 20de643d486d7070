import { z } from "sluice";
import { parsed, type Metric } from "./call.ts";
import { dimensionOf, embedModel } from "./models.ts";
import { invalid, unsupported } from "./refusal.ts";

const metric = z.enum(["cosine", "dotproduct", "euclidean"]);
const dimension = z.number().int().min(1).max(20_000);
const protection = z.enum(["enabled", "disabled"]);
const tags = z.record(z.string(), z.string());
const anything = z.record(z.string(), z.unknown());

/** Where an index would run, as it was asked for: told back, without effect. */
const deployment = z.discriminatedUnion("deployment_type", [
  z.object({ deployment_type: z.literal("managed"), cloud: z.string(), region: z.string() }),
  z.object({ deployment_type: z.literal("byoc"), environment: z.string() }),
  z.object({
    deployment_type: z.literal("pod"),
    environment: z.string(),
    pod_type: z.string().default("p1.x1"),
    replicas: z.number().int().min(1).default(1),
    shards: z.number().int().min(1).default(1),
  }),
]);

const embed = z.object({
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
    embed: embed.nullish(),
    /** Milliseconds since the epoch. */
    created: z.number().default(0),
  }),
);
export type Settings = z.output<typeof settings>;

export interface Wanted {
  readonly name: string;
  /** 0 on a sparse index. */
  readonly dimension: number;
  readonly metric: Metric;
  readonly settings: Settings;
}

const common = {
  name: z.string(),
  deletion_protection: protection.nullish(),
  tags: tags.nullish(),
  read_capacity: anything.nullish(),
};
const serverless = z.object({
  cloud: z.string(),
  region: z.string(),
  read_capacity: anything.nullish(),
  schema: anything.nullish(),
  source_collection: z.string().nullish(),
});
const pod = z.object({
  environment: z.string(),
  pod_type: z.string().nullish(),
  replicas: z.number().int().min(1).nullish(),
  shards: z.number().int().min(1).nullish(),
  source_collection: z.string().nullish(),
});
const spec = z.object({
  serverless: serverless.nullish(),
  pod: pod.nullish(),
  byoc: z.object({ environment: z.string(), schema: anything.nullish() }).nullish(),
});

/** Up to API 2026-04 the vectors are described beside the spec, from 2026-07 on as fields of a schema. */
const withSpec = z.object({
  ...common,
  vector_type: z.enum(["dense", "sparse"]).nullish(),
  dimension: dimension.nullish(),
  metric: metric.nullish(),
  spec,
});
const withSchema = z.object({
  ...common,
  deployment: deployment.nullish(),
  schema: z.object({ fields: z.record(z.string(), z.looseObject({ type: z.string() })) }),
});
const denseField = z.object({ dimension, metric: metric.default("cosine") });
const forModel = z.object({
  ...common,
  cloud: z.string(),
  region: z.string(),
  schema: anything.nullish(),
  embed,
});

export function wantedIndex(body: unknown): Wanted {
  const { schema } = Object(body) as { schema?: unknown };
  return schema == null ? fromSpec(parsed(withSpec, body)) : fromSchema(parsed(withSchema, body));
}

export function wantedIndexForModel(body: unknown): Wanted {
  const wanted = parsed(forModel, body);
  const { cloud, region, embed, schema } = wanted;
  return withEmbed(
    {
      ...base(wanted, { deployment_type: "managed", cloud, region }),
      readCapacity: wanted.read_capacity,
      metadataSchema: schema,
    },
    wanted.name,
    embed,
  );
}

/** Settings with an embedding, and the dimension and metric that it brings. */
function withEmbed(settings: Settings, name: string, asked: z.output<typeof embed>): Wanted {
  if (asked.field_map["text"] === undefined)
    throw invalid("embed.field_map must map 'text' to the field that is embedded");
  const model = embedModel(asked.model);
  const metric = asked.metric ?? (model.metrics[0] as Metric);
  if (!model.metrics.includes(metric))
    throw invalid(
      `Model '${model.model}' does not support metric ${metric}: choose one of ${model.metrics.join(", ")}`,
    );
  const dimension = dimensionOf(model, asked.dimension);
  return {
    name: checkedName(name),
    dimension: dimension ?? 0,
    metric,
    settings: { ...settings, embed: { ...asked, metric, dimension } },
  };
}

function fromSpec(wanted: z.output<typeof withSpec>): Wanted {
  const { serverless, pod, byoc } = wanted.spec;
  const source = serverless?.source_collection ?? pod?.source_collection;
  const settings = base(wanted, deploymentOf(wanted.spec));
  checkedName(wanted.name);
  if (source != null) throw invalid(`Resource ${source} not found`);
  const shape =
    wanted.vector_type === "sparse" ? sparseShape(wanted) : parsed(denseField, dropNull(wanted));
  return {
    name: wanted.name,
    ...shape,
    settings: {
      ...settings,
      readCapacity: serverless?.read_capacity ?? wanted.read_capacity,
      metadataSchema: serverless?.schema ?? byoc?.schema,
    },
  };
}

function fromSchema(wanted: z.output<typeof withSchema>): Wanted {
  const { _values: dense, _sparse_values: sparse, ...others } = wanted.schema.fields;
  checkedName(wanted.name);
  if (dense === undefined && sparse === undefined)
    throw unsupported("indexes of documents: name the vectors _values or _sparse_values");
  const [other] = Object.keys(others);
  if (other !== undefined)
    throw unsupported(`fields other than _values and _sparse_values, such as '${other}'`);
  const shape =
    dense === undefined
      ? ({ dimension: 0, metric: "dotproduct" } as const)
      : parsed(denseField, dense);
  if (dense !== undefined && sparse !== undefined && shape.metric !== "dotproduct")
    throw invalid("an index with _sparse_values beside _values must have the metric dotproduct");
  const standard = { deployment_type: "managed", cloud: "aws", region: "us-east-1" } as const;
  return {
    name: wanted.name,
    ...shape,
    settings: {
      ...base(wanted, wanted.deployment ?? standard),
      readCapacity: wanted.read_capacity,
    },
  };
}

function base(
  wanted: {
    readonly deletion_protection?: Settings["deletion_protection"] | null | undefined;
    readonly tags?: Settings["tags"] | null | undefined;
  },
  deployment: Settings["deployment"],
): Settings {
  return {
    deployment,
    deletion_protection: wanted.deletion_protection ?? "disabled",
    tags: wanted.tags ?? {},
    created: Date.now(),
  };
}

function deploymentOf({ serverless, pod, byoc }: z.output<typeof spec>): Settings["deployment"] {
  if ([serverless, pod, byoc].filter((one) => one != null).length !== 1)
    throw invalid("spec takes exactly one of serverless, pod and byoc");
  if (serverless != null)
    return { deployment_type: "managed", cloud: serverless.cloud, region: serverless.region };
  if (byoc != null) return { deployment_type: "byoc", environment: byoc.environment };
  return parsed(deployment, { ...dropNull(pod ?? {}), deployment_type: "pod" });
}

function sparseShape(wanted: { readonly dimension?: unknown; readonly metric?: unknown }) {
  if (wanted.dimension != null) throw invalid("Sparse indexes cannot have a `dimension`");
  if (wanted.metric != null && wanted.metric !== "dotproduct")
    throw invalid("Sparse indexes must have a `metric` of `dotproduct`");
  return { dimension: 0, metric: "dotproduct" } as const;
}

function dropNull(value: object): object {
  return Object.fromEntries(Object.entries(value).filter(([, held]) => held != null));
}

function checkedName(name: string): string {
  if (!/^[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?$/.test(name)) {
    throw invalid(
      `Name must be 1 to 45 characters of a-z, 0-9 and '-', starting and ending with an alphanumeric character, got '${name}'`,
    );
  }
  return name;
}

const changes = z.object({
  deletion_protection: protection.nullish(),
  tags: tags.nullish(),
  read_capacity: anything.nullish(),
  spec: z
    .object({
      serverless: z.object({ read_capacity: anything.nullish() }).nullish(),
      pod: z
        .object({ replicas: z.number().int().nullish(), pod_type: z.string().nullish() })
        .nullish(),
    })
    .nullish(),
  deployment: z
    .object({ replicas: z.number().int().nullish(), pod_type: z.string().nullish() })
    .nullish(),
  embed: embed.partial().nullish(),
});

/** An index with the changes that a PATCH asks for. */
export function changedIndex(held: Wanted, body: unknown): Wanted {
  const { deletion_protection, tags, read_capacity, spec, deployment, embed } = parsed(
    changes,
    body,
  );
  const pod = deployment ?? spec?.pod;
  if (pod != null && held.settings.deployment.deployment_type !== "pod")
    throw invalid("replicas and pod_type are for pod indexes only");
  // A tag set to "" is removed, as the real service does.
  const merged = Object.entries({ ...held.settings.tags, ...tags }).filter(([, tag]) => tag !== "");
  const settings: Settings = {
    ...held.settings,
    deployment: { ...held.settings.deployment, ...dropNull(pod ?? {}) } as Settings["deployment"],
    deletion_protection: deletion_protection ?? held.settings.deletion_protection,
    tags: Object.fromEntries(merged),
    readCapacity: read_capacity ?? spec?.serverless?.read_capacity ?? held.settings.readCapacity,
  };
  if (embed == null) return { ...held, settings };
  const joined = withEmbed(settings, held.name, {
    ...held.settings.embed,
    ...embed,
    model: embed.model ?? held.settings.embed?.model ?? "",
    metric: held.metric,
    dimension: held.dimension || undefined,
    field_map: embed.field_map ?? held.settings.embed?.field_map ?? {},
  });
  const current = held.settings.embed?.model;
  if (current !== undefined && current !== joined.settings.embed?.model)
    throw invalid(`the index embeds with '${current}', which cannot be changed`);
  return joined;
}
