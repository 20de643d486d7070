import { z } from "sluice";
import { parsed } from "./call.ts";
import {
  anything,
  embed,
  protection,
  tags,
  withoutNull,
  type IndexModel,
  type Settings,
} from "./index-settings.ts";
import { areOfDocuments } from "./index-fields.ts";
import { withEmbed } from "./index-wanted.ts";
import { invalid } from "./refusal.ts";

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
export function changedIndex(held: IndexModel, body: unknown): IndexModel {
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
    deployment: { ...held.settings.deployment, ...withoutNull(pod ?? {}) },
    deletion_protection: deletion_protection ?? held.settings.deletion_protection,
    tags: Object.fromEntries(merged),
    readCapacity: read_capacity ?? spec?.serverless?.read_capacity ?? held.settings.readCapacity,
  };
  if (embed == null) return { ...held, settings };
  if (areOfDocuments(settings.fields)) throw invalid("an index of documents takes no embed");
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
