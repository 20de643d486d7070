import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const page = await readFile(join(root, "docs/writing-a-connector.md"), "utf8");
/** Blocks that begin with `// name.ts`. */
const files = [...page.matchAll(/^```ts\n\/\/ (\S+\.ts)\n([^]*?)^```$/gm)].map(
  ([, name = "", code = ""]) => ({ name, code }),
);
const run = promisify(execFile);

let dir = "";
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "sluice-page-"));
  await mkdir(join(dir, "node_modules"));
  await symlink(root, join(dir, "node_modules/sluice"));
  await symlink(join(root, "node_modules/@types"), join(dir, "node_modules/@types"));
  await writeFile(join(dir, "package.json"), JSON.stringify({ type: "module" }));
  const compilerOptions = {
    target: "ES2023",
    module: "NodeNext",
    types: ["node"],
    outDir: "dist",
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    erasableSyntaxOnly: true,
    verbatimModuleSyntax: true,
    rewriteRelativeImportExtensions: true,
  };
  await writeFile(join(dir, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  await Promise.all(files.map(({ name, code }) => writeFile(join(dir, name), code)));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe("the page on writing a connector", () => {
  it("has a name for each of its blocks, and a test for each kind", () => {
    expect(page.match(/^```ts$/gm)).toHaveLength(files.length);
    const tests = files.map(({ name }) => name).filter((name) => name.endsWith(".test.ts"));
    expect(tests).toEqual(["sources.test.ts", "redact.test.ts", "folder.test.ts"]);
  });

  it("has examples that compile and pass their kits", { timeout: 120_000 }, async () => {
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    await succeed(process.execPath, [tsc, "-p", "."]);
    const built = files
      .filter(({ name }) => name.endsWith(".test.ts"))
      .map(({ name }) => join("dist", name.replace(/ts$/, "js")));
    const said = await succeed(process.execPath, ["--test", "--test-reporter=tap", ...built]);
    const passed = Number(/^# pass (\d+)$/m.exec(said)?.[1]);
    expect(passed).toBeGreaterThan(60);
    expect(said).toMatch(/^# fail 0$/m);
  });
});

/** What a command says; when it fails, that is in the error. */
async function succeed(command: string, args: readonly string[]): Promise<string> {
  // A test inside a test runner would report to that one.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  try {
    return (await run(command, [...args], { cwd: dir, env, maxBuffer: 2 ** 24 })).stdout;
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    throw new Error(`${command} ${args.join(" ")} failed.\n${stdout}${stderr}`, { cause: error });
  }
}
