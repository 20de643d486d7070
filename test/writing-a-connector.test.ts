import { execFile } from "node:child_process";
import {
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli, startCli, until } from "../cli/run.test.data.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const page = await readFile(join(root, "docs/writing-a-connector.md"), "utf8");
/** Blocks that begin with `// name.ts`. */
const files = [...page.matchAll(/^```ts\n\/\/ (\S+\.ts)\n([^]*?)^```$/gm)].map(
  ([, name = "", code = ""]) => ({ name, code }),
);
/** Whole configs. */
const [published = "", vectors = ""] = [...page.matchAll(/^```json\n(\{\n[^]*?)^```$/gm)].map(
  ([, text = ""]) => text,
);
const run = promisify(execFile);

let dir = "";
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "sluice-page-"));
  await mkdir(join(dir, "node_modules"));
  await symlink(root, join(dir, "node_modules/sluice"));
  for (const need of ["@types", "htmlparser2"])
    await symlink(join(root, "node_modules", need), join(dir, "node_modules", need));
  await writeFile(join(dir, "package.json"), JSON.stringify({ type: "module" }));
  // As a package that `sluice init` made compiles them.
  const template = join(root, "cli/init/templates/connector/tsconfig.json");
  await copyFile(template, join(dir, "tsconfig.json"));
  await mkdir(join(dir, "src"));
  await Promise.all(files.map(({ name, code }) => writeFile(join(dir, "src", name), code)));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe("the page on writing a connector", () => {
  it("has a name for each of its blocks, and a test for each kind", () => {
    expect(page.match(/^```ts$/gm)).toHaveLength(files.length);
    const tests = files.map(({ name }) => name).filter((name) => name.endsWith(".test.ts"));
    expect(tests).toEqual([
      "rss.test.ts",
      "sources.test.ts",
      "redact.test.ts",
      "folder.test.ts",
      "vectors.test.ts",
      "label.test.ts",
    ]);
  });

  it("shows what init writes", async () => {
    for (const [kind, name] of [
      ["source", "rss"],
      ["transform", "redact"],
      ["sink", "folder"],
    ] as const) {
      await runCli(dir, ["init", kind, name, "--dir", `made/${name}`]);
      const made = join(dir, "made", name, "src");
      for (const file of await readdir(made))
        expect(files.find((one) => one.name === file)?.code, file).toBe(
          await readFile(join(made, file), "utf8"),
        );
    }
    await rm(join(dir, "made"), { recursive: true });
  });

  it("has examples that compile and pass their kits", { timeout: 120_000 }, async () => {
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    await succeed(process.execPath, [tsc, "-p", "."]);
    const built = files
      .filter(({ name }) => name.endsWith(".test.ts"))
      .map(({ name }) => join("dist", name.replace(/ts$/, "js")));
    const said = await succeed(process.execPath, [
      "--test",
      "--test-reporter=tap",
      "--test-concurrency=3",
      ...built,
    ]);
    const passed = Number(/^# pass (\d+)$/m.exec(said)?.[1]);
    expect(passed).toBeGreaterThan(140);
    expect(said).toMatch(/^# fail 0$/m);
  });

  it(
    "has examples that compile where nothing but `strict` is asked",
    { timeout: 60_000 },
    async () => {
      const tsc = join(root, "node_modules/typescript/bin/tsc");
      const compilerOptions = {
        strict: true,
        module: "nodenext",
        types: ["node"],
        rewriteRelativeImportExtensions: true,
        noEmit: true,
      };
      const config = { compilerOptions, include: ["src"] };
      await writeFile(join(dir, "strict.json"), JSON.stringify(config));
      expect(await succeed(process.execPath, [tsc, "-p", "strict.json"])).toBe("");
    },
  );

  it("names a published package as configs do", async () => {
    const home = join(dir, "node_modules/sluice-source-rss");
    await mkdir(home);
    await writeFile(join(home, "package.json"), JSON.stringify({ exports: "./index.mjs" }));
    await writeFile(join(home, "index.mjs"), `export * from "${join(dir, "dist/rss.js")}";`);
    await writeFile(join(dir, "sluice.json"), published);
    const { stdout } = await runCli(dir, ["validate", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({
      result: { warnings: [], connectors: [{ type: "rss" }, { type: "log" }] },
    });
    const options = await runCli(dir, ["connectors", "sluice-source-rss"]);
    expect(options.stdout).toContain("Where the feed is.");
  });

  it("runs a model and a vector database of one's own", { timeout: 60_000 }, async () => {
    await mkdir(join(dir, "articles"));
    await writeFile(join(dir, "articles/a.md"), "# A\n\nSome letters.");
    await writeFile(join(dir, "articles/b.md"), "# B\n\nOther letters.");
    await writeFile(join(dir, "vectors.json"), vectors);
    const cli = startCli(dir, ["start", "vectors.json"]);
    try {
      const written = async () =>
        /"name":"search"[^}]*"events":[2-9]/.test(
          (await runCli(dir, ["status", "vectors.json", "--json"])).stdout,
        );
      await until(written, () => cli.stderr());
    } finally {
      cli.signal("SIGINT");
    }
    expect((await cli.ended).code).toBe(0);
    const letters = await runCli(dir, ["dead-letters", "list", "search", "vectors.json"]);
    expect(letters).toMatchObject({ code: 0, stdout: expect.not.stringContaining("a.md") });
    const found = async (filter: object) => {
      const how = ["--filter", JSON.stringify(filter), "--config", "vectors.json", "--json"];
      const { code, stdout } = await runCli(dir, ["search", "search", "letters", ...how]);
      return code === 0 ? [...new Set(stdout.match(/[ab]\.md/g))].toSorted() : stdout;
    };
    expect(await found({})).toEqual(["a.md", "b.md"]);
    expect(await found({ _subject: "b.md" })).toEqual(["b.md"]);
    expect(await found({ $and: [{ _subject: "b.md" }, { _subject: "a.md" }] })).toEqual([]);
    expect(await found({ _subject: { $eq: "b.md" } })).toContain("cannot filter by");
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
