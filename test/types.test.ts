import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const tsc = join(root, "node_modules/typescript/bin/tsc");
const run = promisify(execFile);

let dir = "";
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "sluice-types-"));
  await mkdir(join(dir, "node_modules"));
  await symlink(root, join(dir, "node_modules/sluice"));
  await symlink(join(root, "node_modules/@types"), join(dir, "node_modules/@types"));
  await writeFile(join(dir, "package.json"), JSON.stringify({ type: "module" }));
  await copyFile(join(root, "test/types/connectors.ts"), join(dir, "connectors.ts"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** What the compiler says of a file. */
async function compile(file: string, options: object): Promise<string> {
  const compilerOptions = { target: "ES2023", lib: ["ES2023"], noEmit: true, ...options };
  const config = { compilerOptions: { types: ["node"], ...compilerOptions }, files: [file] };
  await writeFile(join(dir, "tsconfig.json"), JSON.stringify(config));
  try {
    return (await run(process.execPath, [tsc, "-p", "."], { cwd: dir })).stdout;
  } catch (error) {
    return (error as { readonly stdout: string }).stdout;
  }
}

describe("the types that authors get", () => {
  it.each([
    ["node16", { module: "node16", strict: true }],
    ["nodenext", { module: "nodenext", strict: true, exactOptionalPropertyTypes: true }],
    ["bundler", { module: "preserve", moduleResolution: "bundler", strict: true }],
  ])("infer all, and refuse what is wrong, under %s", { timeout: 60_000 }, async (_, options) => {
    expect(await compile("connectors.ts", options)).toBe("");
  });

  it(
    "are refused where a line that is wrong is no longer expected to be",
    { timeout: 60_000 },
    async () => {
      const text = await readFile(join(dir, "connectors.ts"), "utf8");
      const expected = text.match(/\/\/ @ts-expect-error/g)?.length ?? 0;
      expect(expected).toBeGreaterThan(13);
      await writeFile(join(dir, "bare.ts"), text.replaceAll("// @ts-expect-error", "// wrong"));
      const said = await compile("bare.ts", { module: "nodenext", strict: true });
      const lines = new Set([...said.matchAll(/^bare\.ts\((\d+),/gm)].map(([, line]) => line));
      expect(lines.size).toBeGreaterThanOrEqual(expected);
    },
  );
});
