import { randomBytes } from "node:crypto";
import { z } from "sluice";
import { parsed, shaped, type Metric } from "./call.ts";
import { fieldsSchema, indexOfFields } from "./index-fields.ts";
import {
  anything,
  deployment,
  dimension,
  embed,
  indexName,
  metric,
  protection,
  tags,
  withoutNull,
  type IndexModel,
  type Settings,
} from "./index-settings.ts";
import { dimensionOf, embedModel } from "./models.ts";
import { invalid } from "./refusal.ts";

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
  metadata_config: anything.nullish(),
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
  name: z.string().nullish(),
  deployment: deployment.nullish(),
  schema: fieldsSchema,
});
const denseField = z.object({ dimension, metric: metric.default("cosine") });
const forModel = z.object({
  ...common,
  cloud: z.string(),
  region: z.string(),
  schema: anything.nullish(),
  embed,
});

export function wantedIndex(body: unknown): IndexModel {
  const { schema } = Object(body) as { schema?: unknown };
  return schema == null ? fromSpec(parsed(withSpec, body)) : fromSchema(shaped(withSchema, body));
}

export function wantedIndexForModel(body: unknown): IndexModel {
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
export function withEmbed(
  settings: Settings,
  name: string,
  asked: z.output<typeof embed>,
): IndexModel {
  if (asked.field_map["text"] === undefined)
    throw invalid("Missing required key 'text' in embed.field_map: the field that is embedded");
  const model = embedModel(asked.model, "control");
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
    settings: {
      ...settings,
      embed: {
        ...asked,
        read_parameters: asked.read_parameters ?? { input_type: "query", truncate: "END" },
        write_parameters: asked.write_parameters ?? { input_type: "passage", truncate: "END" },
        metric,
        dimension,
      },
    },
  };
}

function fromSpec(wanted: z.output<typeof withSpec>): IndexModel {
  const { serverless, pod, byoc } = wanted.spec;
  const source = serverless?.source_collection ?? pod?.source_collection;
  const settings = base(wanted, deploymentOf(wanted.spec));
  checkedName(wanted.name);
  if (pod != null && wanted.vector_type === "sparse")
    throw invalid("Sparse vector type is not supported for pod indexes");
  if (source != null) throw invalid(`Resource ${source} not found`);
  const shape =
    wanted.vector_type === "sparse" ? sparseShape(wanted) : parsed(denseField, withoutNull(wanted));
  return {
    name: wanted.name,
    ...shape,
    settings: {
      ...settings,
      readCapacity: serverless?.read_capacity ?? wanted.read_capacity,
      metadataConfig: pod?.metadata_config,
      metadataSchema: serverless?.schema ?? byoc?.schema,
    },
  };
}

function fromSchema(wanted: z.output<typeof withSchema>): IndexModel {
  const { fields } = wanted.schema;
  const name = checkedName(wanted.name ?? `index-${randomBytes(4).toString("hex")}`);
  const standard = { deployment_type: "managed", cloud: "aws", region: "us-east-1" } as const;
  const deployment = wanted.deployment ?? standard;
  if (deployment.deployment_type === "pod")
    throw invalid("deployment_type 'pod' is not supported on this API version");
  return {
    name,
    ...indexOfFields(fields),
    settings: { ...base(wanted, deployment), readCapacity: wanted.read_capacity, fields },
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
  const { environment, pod_type, replicas, shards } = pod ?? {};
  const given = withoutNull({ environment, pod_type, replicas, shards });
  return parsed(deployment, { ...given, deployment_type: "pod" });
}

function sparseShape(wanted: { readonly dimension?: unknown; readonly metric?: unknown }) {
  if (wanted.dimension != null) throw invalid("Sparse indexes cannot have a `dimension`");
  if (wanted.metric != null && wanted.metric !== "dotproduct")
    // API 2025-10 said the first, 2026-04 says the second; clients of each look for theirs.
    throw invalid(
      "Sparse vector indexes must use the metric dotproduct: Sparse indexes must have a `metric` of `dotproduct`",
    );
  return { dimension: 0, metric: "dotproduct" } as const;
}

function checkedName(name: string): string {
  if (!indexName.safeParse(name).success) {
    throw invalid(
      `Name must be 1 to 45 characters of a-z, 0-9 and '-', starting and ending with an alphanumeric character, got '${name}'`,
    );
  }
  return name;
}
