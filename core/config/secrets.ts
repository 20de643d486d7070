import { secretsIn } from "./marks.ts";
import { redisSecrets } from "../state/redis/url.ts";
import type { Pipeline, Place } from "./pipeline.ts";

/** Shorter ones are part of too many words to be taken out of a text (docs/design.md). */
const leastLength = 4;

/**
 * Every secret text of a pipeline's configs and the passwords of its places, longest first, so that
 * one that contains another is hidden whole. For whoever writes logs or status (Invariant 11).
 */
export function secretsOf(pipeline: Pipeline): readonly string[] {
  const ofConfigs = pipeline.connectors.flatMap((connector) => {
    const own = "config" in connector ? secretsIn(schemaOf(connector), connector.config) : [];
    const stages = connector.kind === "source" ? [] : connector.transforms;
    return [
      ...own,
      ...stages.flatMap(({ transform, config }) => secretsIn(transform.config, config)),
    ];
  });
  const all = [...ofConfigs, ...passwordOf(pipeline.queue), ...passwordOf(pipeline.state)];
  return [...new Set(all)]
    .filter((secret) => secret.length >= leastLength)
    .toSorted((a, b) => b.length - a.length);
}

function schemaOf(connector: Extract<Pipeline["connectors"][number], { config: unknown }>) {
  return connector.kind === "source" ? connector.source.config : connector.sink.config;
}

function passwordOf(place: Place): readonly string[] {
  return place.kind === "redis" ? redisSecrets(place.url) : [];
}
