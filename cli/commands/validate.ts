import type { Command } from "commander";
import { redact } from "../../core/config/marks.ts";
import type { Pipeline, Place, ResolvedConnector } from "../../core/config/pipeline.ts";
import { redisPlace } from "../../core/state/redis/url.ts";
import {
  newPipelineCommand,
  noteWarnings,
  openPipeline,
  type PipelineOptions,
} from "../command.ts";
import type { Output } from "../output.ts";
import { table } from "../table.ts";

export function validate(output: Output): Command {
  return newPipelineCommand(
    "validate",
    "Check config files without contacting anything; every problem is shown at once.",
    ["validate sluice.json", "validate sources.json sinks.json --json"],
  )
    .argument("[files...]", "config files; default sluice.json")
    .action(async (files: readonly string[], options: PipelineOptions) => {
      const pipeline = await openPipeline(files, options);
      noteWarnings(pipeline, output);
      const { project, topics, connectors, warnings } = pipeline;
      const result = {
        project,
        queue: placeText(pipeline.queue),
        state: placeText(pipeline.state),
        topics,
        connectors: connectors.map(shown),
        warnings,
      };
      output.result("validate", result, () => summary(pipeline, output));
    });
}

function summary(pipeline: Pipeline, { paint }: Output): string {
  const { connectors, project, queue } = pipeline;
  const rows = connectors.map((connector) => [`  ${connector.name}`, pathOf(connector)]);
  const count = `${connectors.length} connector${connectors.length === 1 ? "" : "s"}`;
  return [
    `${paint("green", "✓")} valid: ${count} of project ${project}, queue ${placeText(queue)}`,
    table(rows, { paint: (cell, _, column) => (column === 0 ? paint("bold", cell) : cell) }),
  ].join("\n");
}

/** What an event goes through: `pages → parse → chunk → pinecone`. */
export function pathOf(connector: ResolvedConnector): string {
  if (connector.kind === "source") return `${connector.source.name} → ${connector.to}`;
  const stages = connector.transforms.map(({ use }) => use);
  const end = connector.kind === "sink" ? connector.sink.name : connector.to;
  return [connector.from.join(", "), ...stages, end].join(" → ");
}

/** The connector as it will run, without its secrets. */
function shown(connector: ResolvedConnector): object {
  const { name, kind } = connector;
  if (kind === "source") {
    const { source, config, to, onGap, durability } = connector;
    const policy = { onGap, ...(durability && { durability }) };
    return { name, kind, type: source.name, to, ...policy, config: redact(source.config, config) };
  }
  const { from, filter, retry } = connector;
  const transforms = connector.transforms.map(({ use, transform, config }) => ({
    use,
    config: redact(transform.config, config),
  }));
  const common = { name, kind, from, ...(filter && { filter }), retry, transforms };
  if (kind === "transform") return { ...common, to: connector.to };
  const { sink, config } = connector;
  return { ...common, type: sink.name, config: redact(sink.config, config) };
}

/** Without user and password. */
export function placeText(place: Place): string {
  return place.kind === "embedded" ? `embedded:${place.dir}` : (redisPlace(place.url) ?? "redis");
}
