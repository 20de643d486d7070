import type { ResolvedConnector } from "../config/pipeline.ts";
import type { ConnectorStatus } from "./status.ts";

/** A connector as status and check name it. */
export function whoIs(
  connector: ResolvedConnector,
): Pick<ConnectorStatus, "name" | "kind" | "type"> {
  const { name, kind } = connector;
  if (kind === "source") return { name, kind, type: connector.source.name };
  if (kind === "sink") return { name, kind, type: connector.sink.name };
  return { name, kind, type: connector.transforms.at(-1)?.use ?? "transform" };
}
