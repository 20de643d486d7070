import { openBackend } from "../core/backend.ts";
import type { Pipeline, SinkConnector } from "../core/config/pipeline.ts";
import type { Log, Reader } from "../core/connector.ts";
import { SluiceError } from "../core/errors.ts";
import { blaming } from "../core/runtime/blame.ts";
import { ownPrefix } from "../core/runtime/keys.ts";
import { prefixed } from "../core/state/prefixed.ts";

/** Opens the read side of a sink, beside or without a running pipeline. `close` ends all that was opened for it. */
export async function openSinkReader(
  pipeline: Pipeline,
  connector: SinkConnector,
  run: { readonly log: Log; readonly signal: AbortSignal },
): Promise<Reader> {
  const { name, sink, config } = connector;
  const { openReader } = sink;
  const who = `sink "${name}" (${sink.name})`;
  if (!openReader)
    throw new SluiceError(`${name}: a ${sink.name} sink cannot be searched.`, {
      code: "cli.unknown-name",
      fix: "Name a sink that keeps an index.",
    });
  const backend = await openBackend(pipeline, { log: run.log });
  try {
    const state = prefixed(backend.state.scope(name).state, ownPrefix);
    const context = { name, project: pipeline.project, config, state, meter: () => {}, ...run };
    const reader = await blaming(who, () => openReader(context));
    const close = async () => {
      await reader.close();
      await backend.close(1_000);
    };
    return {
      search: (query, run) => blaming(who, () => reader.search(query, run)),
      model: () => blaming(who, () => reader.model()),
      close,
    };
  } catch (error) {
    await backend.close(1_000);
    throw error;
  }
}
