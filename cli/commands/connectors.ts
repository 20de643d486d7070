import type { Command } from "commander";
import { catalog } from "../../connectors/registry.ts";
import { kinds, shelf } from "../../core/config/catalog.ts";
import { nearest } from "../../core/config/nearest.ts";
import type { Connector } from "../../core/connector.ts";
import { SluiceError } from "../../core/errors.ts";
import { newCommand } from "../command.ts";
import { optionsOf } from "../options.ts";
import type { Output } from "../output.ts";
import { table } from "../table.ts";

export function connectors(output: Output): Command {
  return newCommand("connectors", "List the built-in connectors, or the options of one.", [
    "connectors",
    "connectors file",
    "connectors pinecone --json",
  ])
    .argument("[name]", "a built-in connector")
    .action(async (name: string | undefined) => {
      const all = await builtIns();
      if (name === undefined) {
        const result = all.map(({ kind, name, version, summary }) => ({
          kind,
          name,
          version,
          summary,
        }));
        output.result("connectors", result, () => list(all, output));
        return;
      }
      const found = all.filter((connector) => connector.name === name);
      if (found.length === 0) throw unknownName(name, all);
      const result = found.map((connector) => ({
        kind: connector.kind,
        name,
        version: connector.version,
        summary: connector.summary,
        options: optionsOf(connector.config),
      }));
      output.result("connectors", result, () => found.map((one) => page(one, output)).join("\n\n"));
    });
}

async function builtIns(): Promise<readonly Connector[]> {
  const loads = kinds.flatMap((kind) => Object.values(shelf(catalog, kind)));
  return await Promise.all(loads.map((load) => load()));
}

function list(all: readonly Connector[], { paint }: Output): string {
  return table(
    all.map(({ kind, name, summary }) => [kind, name, summary]),
    { paint: (cell, _, column) => paint(column === 1 ? "bold" : "dim", cell) },
  );
}

function page({ kind, name, version, summary, config }: Connector, { paint }: Output): string {
  const options = optionsOf(config);
  const heading = `${paint("bold", name)} ${paint("dim", `${kind} ${version}`)}\n${summary}`;
  if (options.length === 0) return `${heading}\n\nNo options.`;
  const blocks = options.map((option) => {
    const must = option.required ? paint("yellow", "required") : "";
    const otherwise = option.default === undefined ? "" : `default ${option.default}`;
    const first = [paint("bold", option.name), paint("dim", option.type), must, otherwise];
    const marks = [
      option.when && `Only with ${option.when}.`,
      option.secret && "Secret: never shown.",
      option.path && "Relative to the config file.",
    ];
    const about = [option.description, ...marks].filter(Boolean).join(" ");
    return `  ${first.filter(Boolean).join("  ")}\n      ${about}`;
  });
  return `${heading}\n\n${blocks.join("\n")}`;
}

function unknownName(name: string, all: readonly Connector[]): SluiceError {
  const names = all.map((connector) => connector.name);
  const close = nearest(name, names);
  return new SluiceError(`sluice: there is no built-in connector ${JSON.stringify(name)}.`, {
    code: "cli.unknown-name",
    fix: close ? `Write ${close}.` : `Choose one of ${names.join(", ")}.`,
  });
}
