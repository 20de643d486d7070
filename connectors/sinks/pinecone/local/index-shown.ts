import type { IndexModel, Settings } from "./index-settings.ts";

/** An index as it is told, in the words of API 2026-04 and of 2026-07 together: clients take their own. */
export function shownIndex(
  index: IndexModel,
  { address, ready }: { readonly address: string; readonly ready: boolean },
): object {
  const { name, dimension, metric, settings } = index;
  const { deployment, deletion_protection, tags, embed } = settings;
  const sparse = dimension === 0;
  const readCapacity = shownCapacity(settings.readCapacity);
  return {
    name,
    ...(!sparse && { dimension }),
    ...(hasVectors(index) && { metric, vector_type: sparse ? "sparse" : "dense" }),
    host: `${address}/i/${name}`,
    deletion_protection,
    ...(Object.keys(tags).length > 0 && { tags }),
    spec: shownSpec(settings, readCapacity),
    status: ready ? { ready: true, state: "Ready" } : { ready: false, state: "Initializing" },
    schema: { fields: fieldsOf(index) },
    deployment:
      deployment.deployment_type === "managed"
        ? { ...deployment, environment: deployment.region }
        : deployment,
    read_capacity: readCapacity,
    ...(embed != null && {
      embed: { ...embed, vector_type: sparse ? "sparse" : "dense" },
    }),
  };
}

/** Not so where all fields are texts. */
function hasVectors({ dimension, settings: { fields } }: IndexModel): boolean {
  if (dimension > 0 || fields == null) return true;
  return Object.values(fields).some(({ type }) => type === "sparse_vector");
}

function fieldsOf({ dimension, metric, settings: { embed, fields } }: IndexModel): object {
  if (embed != null) {
    const { model, read_parameters, write_parameters, field_map } = embed;
    const field = {
      type: "semantic_text",
      model,
      metric,
      ...(dimension > 0 && { dimension }),
      ...(read_parameters != null && { read_parameters }),
      ...(write_parameters != null && { write_parameters }),
    };
    return { [field_map["text"] ?? "text"]: field };
  }
  if (fields != null) return fields;
  return {
    ...(dimension > 0 && { _values: { type: "dense_vector", dimension, metric } }),
    ...(metric === "dotproduct" && { _sparse_values: { type: "sparse_vector" } }),
  };
}

function shownSpec(
  { deployment, metadataSchema, metadataConfig }: Settings,
  read_capacity: object,
): object {
  const schema = metadataSchema != null && { schema: metadataSchema };
  switch (deployment.deployment_type) {
    case "managed": {
      const { cloud, region } = deployment;
      return { serverless: { cloud, region, read_capacity, ...schema } };
    }
    case "byoc":
      return { byoc: { environment: deployment.environment, read_capacity, ...schema } };
    case "pod": {
      const { environment, pod_type, replicas, shards } = deployment;
      const config = metadataConfig != null && { metadata_config: metadataConfig };
      return {
        pod: { environment, pod_type, replicas, shards, pods: replicas * shards, ...config },
      };
    }
  }
}

/** Told back as asked for, in the shape of an answer; nothing here has nodes. */
function shownCapacity(asked: Settings["readCapacity"]): object {
  const status = { state: "Ready" };
  if (asked?.["mode"] !== "Dedicated") return { mode: "OnDemand", status };
  const { dedicated } = asked;
  const manual = (Object(dedicated) as { manual?: { replicas?: number; shards?: number } }).manual;
  return {
    mode: "Dedicated",
    dedicated,
    status: {
      ...status,
      ...(manual !== undefined && {
        current_replicas: manual.replicas,
        current_shards: manual.shards,
      }),
    },
  };
}
