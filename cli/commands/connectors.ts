import type { Command } from "commander";
import { catalog } from "../../connectors/registry.ts";
import { kinds, shelf } from "../../core/config/catalog.ts";
import { definitionsOf, fileOf, isPath, type Definition } from "../../core/config/modules.ts";
import { nearest } from "../../core/config/nearest.ts";
import type { Connector } from "../../core/connector.ts";
import { ConfigError, SluiceError } from "../../core/errors.ts";
import { newCommand } from "../command.ts";
import { optionsOf } from "../options.ts";
import type { Output } from "../output.ts";
import { table } from "../table.ts";

export function connectors(output: Output): Command {
  return newCommand(
    "connectors",
    "List the built-in connectors, or the options of one: a built-in, a package, or a file of your own.",
    [
      "connectors",
      "connectors file",
      "connectors sluice-source-rss",
      "connectors ./dist/rss.js --json",
    ],
  )
    .argument("[name]", "a built-in connector, an installed package, or the path of a module")
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
      const builtIn = all.filter((connector) => connector.name === name);
      const found = builtIn.length > 0 ? builtIn : await foreign(name, all);
      const result = found.map((connector) => ({
        kind: connector.kind,
        name: connector.name,
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

/** What a package or a file of the working folder exports. */
async function foreign(name: string, all: readonly Connector[]): Promise<readonly Definition[]> {
  const file = fileOf(name, process.cwd());
  if (file === undefined) throw unknownName(name, all);
  const module = await definitionsOf({ type: name, file });
  if ("found" in module && module.found.length > 0) return module.found;
  const { code, message, fix } =
    "problem" in module
      ? module.problem
      : {
          code: "config.broken-connector",
          message: `${JSON.stringify(name)} exports no connector.`,
          fix: `Export one made with defineSource(), defineTransform() or defineSink() from ${file}.`,
        };
  throw new ConfigError(`sluice: ${message}`, { code, fix });
}

function list(all: readonly Connector[], { paint }: Output): string {
  return table(
    all.map(({ kind, name, summary }) => [kind, name, summary]),
    { paint: (cell, _, column) => paint(column === 1 ? "bold" : "dim", cell) },
  );
}

function page({ kind, name, version, summary, config }: Definition, { paint }: Output): string {
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
  if (isPath(name))
    return new SluiceError(`sluice: ${JSON.stringify(name)} is no file.`, {
      code: "cli.unknown-name",
      fix: "Correct the path; it is relative to this folder.",
    });
  return new SluiceError(
    `sluice: there is no connector ${JSON.stringify(name)}, built in or installed here.`,
    {
      code: "cli.unknown-name",
      fix: close
        ? `Write ${close}.`
        : `Choose one of ${names.join(", ")}, an installed package, or a path.`,
    },
  );
}
