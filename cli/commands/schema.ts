import type { Command } from "commander";
import { catalog } from "../../connectors/registry.ts";
import { toJsonSchema } from "../../core/config/json-schema.ts";
import { newCommand } from "../command.ts";
import type { Output } from "../output.ts";

export function schema(output: Output): Command {
  return newCommand("schema", "Print the JSON Schema of config files, for editors.", [
    "schema > sluice.schema.json",
  ]).action(async () => {
    const result = await toJsonSchema(catalog);
    output.result("schema", result, () => JSON.stringify(result, undefined, 2));
  });
}
