import type { Command } from "commander";
import { catalog } from "../../connectors/registry.ts";
import { toJsonSchema } from "../../core/config/json-schema.ts";
import { namedIn } from "../../core/config/named.ts";
import { ConfigError } from "../../core/errors.ts";
import type { Finding } from "../../core/connector.ts";
import { newCommand } from "../command.ts";
import type { Output } from "../output.ts";

export function schema(output: Output): Command {
  return newCommand("schema", "Print the JSON Schema of config files, for editors.", [
    "schema > sluice.schema.json",
    "schema --config sluice.json > sluice.schema.json",
  ])
    .option(
      "--config <files...>",
      "config files: the schema also has the options of the connectors of your own, and of packages, that they name",
    )
    .action(async ({ config: files = [] }: { readonly config?: readonly string[] }) => {
      const findings: Finding[] = [];
      const named = await namedIn(files, { env: process.env, catalog }, findings);
      if (findings.length > 0)
        throw new ConfigError("schema: not all that the files name can be loaded.", {
          code: "config.invalid",
          findings,
          fix: "Correct what the findings name.",
        });
      const result = await toJsonSchema(catalog, named);
      output.result("schema", result, () => JSON.stringify(result, undefined, 2));
    });
}
