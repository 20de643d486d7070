import type { Backend } from "../backend.ts";
import type { SinkConnector } from "../config/pipeline.ts";
import type { Auditor } from "../auditor.ts";
import type { Log } from "../connector.ts";
import { SluiceError } from "../errors.ts";
import { prefixed } from "../state/prefixed.ts";
import { blaming } from "./blame.ts";
import { ownPrefix } from "./keys.ts";

/** Opens a sink's audit over its own state, beside or without a running pipeline. */
export async function openAuditor(
  { name, sink, config }: SinkConnector,
  backend: Pick<Backend, "state" | "project">,
  run: { readonly log: Log; readonly signal: AbortSignal },
): Promise<Auditor> {
  if (!sink.openAuditor)
    throw new SluiceError(`${name}: a ${sink.name} sink cannot be verified.`, {
      code: "cli.unknown-name",
      fix: "Name a sink that keeps an index.",
    });
  const state = prefixed(backend.state.scope(name).state, ownPrefix);
  const { openAuditor } = sink;
  const context = {
    name,
    project: backend.project,
    config,
    state,
    meter: () => {},
    ...run,
  };
  return await blaming(`sink "${name}" (${sink.name})`, () => openAuditor(context));
}
