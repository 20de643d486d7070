import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { catalog } from "../connectors/registry.ts";
import { loadPipeline } from "../core/config/load.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const readme = readFileSync(join(root, "README.md"), "utf8");
const [notes = "", handbook = ""] = [...readme.matchAll(/^```json\n([^]*?)^```$/gm)].map(
  ([, text = ""]) => text,
);

/** What a text means as a config file. */
async function load(text: string, env: Readonly<Record<string, string>>) {
  const dir = mkdtempSync(join(tmpdir(), "sluice-readme-"));
  try {
    writeFileSync(join(dir, "sluice.json"), text);
    const pipeline = await loadPipeline([join(dir, "sluice.json")], { env, catalog });
    const { connectors, ...rest } = pipeline;
    return JSON.parse(JSON.stringify({ ...rest, connectors }).replaceAll(dir, ""));
  } finally {
    rmSync(dir, { recursive: true });
  }
}

it("README shows the notes example as it is", async () => {
  const example = readFileSync(join(root, "examples/notes/sluice.json"), "utf8");
  expect(await load(notes, {})).toEqual(await load(example, {}));
});

it("npm builds a clone when it has installed it, and runs nothing where the package is installed", () => {
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    readonly scripts: Readonly<Record<string, string>>;
  };
  // `prepare` would do it too, and stand in what is published: npm asks users to allow that.
  expect(scripts).toMatchObject({ dependencies: "npm run build", prepack: "npm run build" });
  const run = Object.keys(scripts).filter((name) => /^(pre|post)?install$|^prepare$/.test(name));
  expect(run).toEqual([]);
});

it("README's second pipeline is valid once the key is set, and needs it", async () => {
  const pipeline: unknown = await load(handbook, { PINECONE_API_KEY: "key" });
  expect(pipeline).toMatchObject({ project: "handbook", warnings: [] });
  await expect(load(handbook, {})).rejects.toMatchObject({
    findings: [{ code: "config.unset-variable" }],
  });
});
