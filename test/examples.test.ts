import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { catalog } from "../connectors/registry.ts";
import { loadPipeline } from "../core/config/load.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const examples = join(root, "examples");
const schema = JSON.parse(readFileSync(join(root, "schema.json"), "utf8")) as unknown;
const env = { PINECONE_API_KEY: "key" };

interface Snippet {
  readonly readme: string;
  readonly text: string;
}

/** What the READMEs of the examples show as JSON: in a block of its own, or within a line, where it names an option. */
function snippetsOf(pattern: RegExp): readonly Snippet[] {
  return readdirSync(examples, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith("README.md"))
    .flatMap((readme) =>
      [...readFileSync(join(examples, readme), "utf8").matchAll(pattern)].map(
        ([, text = ""]): Snippet => ({ readme, text }),
      ),
    );
}

/** Every name of a property in the schema of config files. */
function namesIn(part: unknown): readonly string[] {
  if (Array.isArray(part)) return part.flatMap(namesIn);
  if (typeof part !== "object" || part === null) return [];
  const { properties } = part as { readonly properties?: object };
  return [...Object.keys(properties ?? {}), ...Object.values(part).flatMap(namesIn)];
}

/** A config file of what is only a part of one. */
function whole(part: Readonly<Record<string, unknown>>): object {
  if ("connectors" in part) return part;
  if ("name" in part) return { project: "p", connectors: [part] };
  const stage = { name: "s", sink: "log", from: "t", transforms: [part] };
  return { project: "p", connectors: [stage] };
}

async function load(file: object): Promise<unknown> {
  const dir = mkdtempSync(join(tmpdir(), "sluice-examples-"));
  try {
    writeFileSync(join(dir, "sluice.json"), JSON.stringify(file));
    return await loadPipeline([join(dir, "sluice.json")], { env, catalog });
  } finally {
    rmSync(dir, { recursive: true });
  }
}

describe("what the READMEs of the examples show", () => {
  const blocks = snippetsOf(/^```json\n([^]*?)^```$/gm);
  const options = snippetsOf(/`(\{? ?"[a-zA-Z]+":[^`]*)`/g);
  it("is found", () => expect([blocks.length > 0, options.length > 0]).toEqual([true, true]));

  it.each(blocks)("is a config that is taken: $readme", async ({ text }) => {
    await load(whole(JSON.parse(text) as Record<string, unknown>));
  });

  it.each(options)("names options that there are: $readme, $text", ({ text }) => {
    const names = new Set(namesIn(schema));
    const keys: string[] = [];
    JSON.parse(text.startsWith("{") ? text : `{${text}}`, (key: string, value: unknown) => {
      if (key !== "" && Number.isNaN(Number(key))) keys.push(key);
      return value;
    });
    expect(keys.filter((key) => !names.has(key))).toEqual([]);
  });
});
