import type { Kind } from "../core/config/catalog.ts";
import { nearest } from "../core/config/nearest.ts";
import type { Pipeline, ResolvedConnector } from "../core/config/pipeline.ts";
import { SluiceError } from "../core/errors.ts";

/** The connector of that name, whatever it is; else `cli.unknown-name` with the nearest one. */
export function anyConnectorOf({ connectors }: Pipeline, name: string): ResolvedConnector {
  const found = connectors.find((one) => one.name === name);
  if (found) return found;
  const names = connectors.map((one) => one.name);
  const close = nearest(name, names);
  throw new SluiceError(`sluice: the config has no connector ${JSON.stringify(name)}.`, {
    code: "cli.unknown-name",
    fix: fixOf(names, close),
  });
}

/** The connector of that name and kind in the config files; else `cli.unknown-name` with the nearest one. */
export function connectorOf<K extends Kind>(
  { connectors }: Pipeline,
  name: string,
  kind: K,
): Extract<ResolvedConnector, { kind: K }> {
  const isWanted = (one: ResolvedConnector): one is Extract<ResolvedConnector, { kind: K }> =>
    one.kind === kind;
  const all = connectors.filter(isWanted);
  const found = all.find((one) => one.name === name);
  if (found) return found;
  const other = connectors.find((one) => one.name === name)?.kind;
  if (other)
    throw new SluiceError(`sluice: ${JSON.stringify(name)} is a ${other}, not a ${kind}.`, {
      code: "cli.unknown-name",
      fix: `Name a ${kind}.`,
    });
  const names = all.map((one) => one.name);
  const close = nearest(name, names);
  throw new SluiceError(`sluice: the config has no ${kind} ${JSON.stringify(name)}.`, {
    code: "cli.unknown-name",
    fix: fixOf(names, close),
  });
}

function fixOf(names: readonly string[], close: string | undefined): string {
  if (close) return `Write ${close}.`;
  return names.length > 0
    ? `Name one of ${names.join(", ")}.`
    : "Name the config file that has it.";
}
