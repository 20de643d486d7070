import type { Pipeline, ResolvedConnector, Stage } from "../config/pipeline.ts";
import { canonicalJson } from "../config/canonical.ts";
import { redact } from "../config/marks.ts";
import { effectOf, type Effect } from "../config/effect.ts";
import type { Json, JsonObject } from "../event.ts";
import type { StatePlace } from "../state/state.ts";

/** A part of a connector's config that is not what it last ran with. */
export interface ConfigChange {
  readonly connector: string;
  /** E.g. `config.index`. */
  readonly path: string;
  /** Secrets are `***`; null where it was or is absent. */
  readonly before: Json;
  readonly after: Json;
  readonly effect: Effect;
  /** What it means for what is there already. */
  readonly means: string;
}

/** No connector can have this name; the keys are names of connectors. */
const scopeName = "@configs";

/** Notes what the connectors of a pipeline run with from now on. */
export async function rememberConfigs(
  { connectors, topics }: Pipeline,
  place: StatePlace,
): Promise<void> {
  const writes = connectors.map((one) => ({ key: one.name, value: written(one, topics) }));
  await place.scope(scopeName).state.each(writes);
}

/** What differs from what the connectors last ran with; nothing for those that never ran. */
export async function configChanges(
  { connectors, topics }: Pipeline,
  place: StatePlace,
): Promise<readonly ConfigChange[]> {
  const names = connectors.map(({ name }) => name);
  const stored = await place.scope(scopeName).state.get(names);
  return connectors.flatMap((connector, at) => {
    const before = stored[at]?.value as JsonObject | undefined; // written by `rememberConfigs` only
    if (!before) return [];
    const after = written(connector, topics);
    return [...new Set([...Object.keys(before), ...Object.keys(after)])]
      .filter((path) => canonicalJson(before[path]) !== canonicalJson(after[path]))
      .map((path) => ({
        connector: connector.name,
        path,
        before: before[path] ?? null,
        after: after[path] ?? null,
        ...meaningOf(connector, path),
      }));
  });
}

/** The parts of a connector that may change, each under its path, without secrets. */
function written(connector: ResolvedConnector, topics: Pipeline["topics"]): JsonObject {
  const { kind } = connector;
  const parts: Record<string, unknown> = { type: typeOf(connector) };
  if (kind !== "sink") {
    parts["to"] = connector.to;
    parts["topics.partitions"] = topics[connector.to]?.partitions;
  }
  if (kind === "source") {
    Object.assign(parts, { onGap: connector.onGap, durability: connector.durability });
    Object.assign(parts, inConfig(redact(connector.source.config, connector.config)));
  } else {
    const { from, filter, retry, onPoison, whenFull, transforms } = connector;
    Object.assign(parts, { from, filter, retry, onPoison, whenFull });
    parts["transforms"] = transforms.map(({ use, transform, config }: Stage) => ({
      use,
      config: redact(transform.config, config),
    }));
    if (kind === "sink")
      Object.assign(parts, inConfig(redact(connector.sink.config, connector.config)));
  }
  return JSON.parse(JSON.stringify(parts)) as JsonObject; // what a state keeps
}

function inConfig(config: unknown): Record<string, unknown> {
  const entries = config !== null && typeof config === "object" ? Object.entries(config) : [];
  return Object.fromEntries(entries.map(([key, value]) => [`config.${key}`, value]));
}

function typeOf(connector: ResolvedConnector): string {
  if (connector.kind === "source") return connector.source.name;
  if (connector.kind === "sink") return connector.sink.name;
  return "transform";
}

function meaningOf(
  connector: ResolvedConnector,
  path: string,
): Pick<ConfigChange, "effect" | "means"> {
  const { name, kind } = connector;
  switch (path) {
    case "type":
      return {
        effect: "refuse",
        means: `What is kept of ${name} is another connector's: give it another name, and remove the old one.`,
      };
    case "to":
      return {
        effect: "apply",
        means: "From the next start on; what was published to the old topic stays there.",
      };
    case "topics.partitions":
      return {
        effect: "refuse",
        means:
          "Refused while events wait in the topic: `sluice stop` what publishes to it, wait until nothing waits, start every process with the new number, and `sluice resume`.",
      };
    case "from":
      return {
        effect: "apply",
        means: `A new topic is caught up by a snapshot where its source can; an old one stays subscribed until \`sluice subscriptions remove ${name} --topic TOPIC\`.`,
      };
    case "filter":
    case "transforms":
      return {
        effect: "resync",
        means:
          "From the next change of each record on; for all of them now: `sluice snapshot SOURCE`.",
      };
    default: {
      const schema = kind === "source" ? connector.source.config : undefined;
      const own = kind === "sink" ? connector.sink.config : schema;
      const key = path.replace(/^config\./, "");
      const effect = own && path !== key ? effectOf(own, key) : "apply";
      return { effect, means: meanings[effect] };
    }
  }
}

const meanings: Readonly<Record<Effect, string>> = {
  apply: "From the next start on.",
  resync:
    "From the next change of each record on; for all of them now: `sluice snapshot SOURCE`, or `sluice verify SINK --repair`.",
  refuse: "Refused for what is there already: give the connector, or its target, another name.",
};
