import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { apiPage } from "./public-api.ts";

const root = join(import.meta.dirname, "../..");
const index = (path: string) => join(root, "dist/core", path);

let dir = "";
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "sluice-api-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** The page of a package whose index exports these names of one file. */
async function pageOf(names: string, declarations: string): Promise<string> {
  await writeFile(join(dir, "index.d.ts"), `export { ${names} } from "./made.ts";\n`);
  await writeFile(join(dir, "made.d.ts"), declarations);
  return apiPage([{ index: join(dir, "index.d.ts"), heading: ["# All"] }]);
}

const made = `import type { z } from "zod";
interface Definition<C extends z.ZodType> {
    readonly config: C;
}
/** What it makes. */
export interface Made extends Definition<z.ZodType> {
    /** Not a Hidden, and not a "Secret". */
    readonly name: string;
}
`;

it("refuses a public signature that names what is not exported", async () => {
  await expect(pageOf("type Made", made)).rejects.toThrow("not exported: Definition (by Made)");
  const imported = `import { type Other as One } from "./other.ts";
/** Makes one. */
export declare function make(): Promise<One>;
`;
  await expect(pageOf("make", imported)).rejects.toThrow("not exported: Other (by make)");
});

it("refuses what has no docblock", async () => {
  const told = made.replace("interface Def", "export interface Def");
  await expect(pageOf("type Made, type Definition", told)).rejects.toThrow("docblock: Definition");
  const whole = told.replace("export interface Def", "/** Its options. */\nexport interface Def");
  const page = await pageOf("type Made, type Definition", whole);
  expect(page.match(/^## .*/gm)).toEqual(["## Made", "## Definition"]);
});

it("the page says all that sluice and sluice/testing export", async () => {
  const entries = [index("index.d.ts"), index("testing/index.d.ts")];
  const now = apiPage(entries.map((one) => ({ index: one, heading: [] })));
  const names = now.match(/^## .*/gm) ?? [];
  expect(names).toEqual(
    expect.arrayContaining(["## EmbedderExtension", "## Definition", "## fakes.state", "## Case"]),
  );
  const page = await readFile(join(root, "docs/api.md"), "utf8");
  expect(page.match(/^## .*/gm)).toEqual(names);
  const [values, hands] = await Promise.all([import("sluice"), import("sluice/testing")]);
  const fakes = Object.keys(hands.fakes).map((name) => `fakes.${name}`);
  const all = [...Object.keys(values), ...Object.keys(hands), ...fakes];
  // `z` is zod's, and `fakes` is told one by one.
  for (const name of all.filter((one) => one !== "z" && one !== "fakes"))
    expect(names).toContain(`## ${name}`);
});
