import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "../cli/run.test.data.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const { version, ...own } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
};

let dir = "";
beforeAll(async () => void (dir = await mkdtemp(join(tmpdir(), "sluice-init-"))));
afterAll(() => rm(dir, { recursive: true, force: true }));

async function manifestOf(home: string): Promise<unknown> {
  return JSON.parse(await readFile(join(home, "package.json"), "utf8"));
}

/** Builds a package and runs some of its tests: the page on writing a connector has the same ones run whole. */
async function test(home: string, name: string): Promise<string> {
  const run = promisify(execFile);
  await mkdir(join(home, "node_modules"));
  await symlink(root, join(home, "node_modules/sluice"));
  for (const need of ["@types", "htmlparser2"])
    await symlink(join(root, "node_modules", need), join(home, "node_modules", need));
  // A test inside a test runner would report to that one.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  await run(process.execPath, [tsc, "-p", "."], { cwd: home });
  const file = `dist/${name}.test.js`;
  const some = "/^reads a feed again|within a second of an abort/";
  const args = ["--test", "--test-reporter=tap", `--test-name-pattern=${some}`, file];
  return (await run(process.execPath, args, { cwd: home, env, maxBuffer: 2 ** 24 })).stdout;
}

describe("what init writes", () => {
  // "entries" and "new" cannot name what is exported: the template has the one, the language the other.
  it.each([
    ["source", "entries", "sluice-source-entries", "entriesSource"],
    ["source", "sluice-source-hacker-news", "sluice-source-hacker-news", "hackerNews"],
    ["transform", "new", "sluice-transform-new", "newTransform"],
    ["sink", "folder", "sluice-sink-folder", "folder"],
  ])("%s %s builds, and its tests pass", { timeout: 120_000 }, async (...given) => {
    const [kind, word, packageName, variable] = given;
    expect(await runCli(dir, ["init", kind, word])).toMatchObject({ code: 0 });
    const home = join(dir, packageName);
    const name = packageName.replace(`sluice-${kind}-`, "");
    const said = await test(home, name);
    expect(said).toMatch(/^# pass [1-9]/m);
    expect(said).toMatch(/^# fail 0$/m);
    const code = await readFile(join(home, `src/${name}.ts`), "utf8");
    expect(code).toMatch(new RegExp(`^export const ${variable} = define`, "m"));
    const validated = await runCli(home, ["validate", "--json"], { FEED_URL: "http://x/" });
    expect(JSON.parse(validated.stdout)).toMatchObject({ ok: true, result: { warnings: [] } });
    const all = `${code}${await readFile(join(home, "README.md"), "utf8")}`;
    expect(all).not.toMatch(new RegExp(`my-${kind}|my${kind[0]?.toUpperCase()}`));
    expect(await manifestOf(home)).toMatchObject({
      name: packageName,
      exports: { ".": { default: `./dist/${name}.js`, types: `./dist/${name}.d.ts` } },
      peerDependencies: { sluice: `^${version}` },
      ...(kind === "source" && {
        dependencies: { htmlparser2: `^${own.dependencies["htmlparser2"]}` },
      }),
    });
  });

  it("npm test runs every test that its author adds", async () => {
    await runCli(dir, ["init", "sink", "shelf"]);
    const home = join(dir, "sluice-sink-shelf");
    await mkdir(join(home, "dist"));
    for (const name of ["shelf", "more"]) {
      const code = `import { test } from "node:test";\ntest("${name}", () => {});\n`;
      await writeFile(join(home, `dist/${name}.test.js`), code);
    }
    const { scripts } = (await manifestOf(home)) as { readonly scripts: { readonly test: string } };
    expect(scripts.test).toMatch(/^npm run build && node --test /);
    const command = scripts.test.replace("npm run build && ", "");
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const { stdout } = await promisify(execFile)("sh", ["-c", command], { cwd: home, env });
    expect(stdout).toMatch(/pass 2$/m);
  });

  it("a pipeline is valid, and has its notes", async () => {
    const { stdout } = await runCli(dir, ["init", "pipeline", "handbook", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({
      result: {
        dir: join(dir, "handbook"),
        files: expect.arrayContaining(["notes/lock.md", "sluice.json", ".gitignore"]),
        next: ["cd handbook", "npm install", "npm start"],
      },
    });
    const validated = await runCli(join(dir, "handbook"), ["validate", "--json"]);
    expect(JSON.parse(validated.stdout)).toMatchObject({
      result: { project: "handbook", warnings: [] },
    });
  });
});

describe("where init writes", () => {
  it("takes a folder that holds nothing but .git, and no other", async () => {
    await mkdir(join(dir, "mine/.git"), { recursive: true });
    const args = ["init", "sink", "mine", "--dir", "mine"];
    expect(await runCli(dir, args)).toMatchObject({ code: 0 });
    const again = await runCli(dir, args);
    expect(again.code).toBe(2);
    expect(again.stderr).toContain('mine holds ".gitignore"');
    expect(again.stderr).toContain("--dir DIR");
  });

  it.each([
    ["RSS Feed", "rss-feed"],
    ["hackerNews", "hacker-news"],
    ["../up", "up"],
    ["x".repeat(41), "up to 40"],
  ])("refuses the name %s", async (name, fix) => {
    const { code, stderr } = await runCli(dir, ["init", "source", name]);
    expect(code).toBe(2);
    expect(stderr).toContain("cli.init-name");
    expect(stderr).toContain(fix);
  });

  it("knows the kinds there are", async () => {
    const { code, stderr } = await runCli(dir, ["init", "sauce", "x"]);
    expect(code).toBe(2);
    expect(stderr).toContain("source, transform, sink, pipeline");
  });
});

describe("the Sluice that a new package uses", () => {
  const specAfter = async (given: object, place: string) => {
    const project = join(dir, place);
    const home = join(project, "node_modules/sluice");
    await mkdir(home, { recursive: true });
    await writeFile(join(project, "package.json"), JSON.stringify(given));
    // As installed: what is linked in is elsewhere in truth.
    const run = promisify(execFile);
    for (const part of ["dist/core", "dist/cli", "dist/connectors", "cli/init", "package.json"]) {
      await mkdir(dirname(join(home, part)), { recursive: true });
      await run("cp", ["-r", join(root, part), join(home, part)]);
    }
    await symlink(join(root, "node_modules"), join(home, "node_modules"));
    const main = join(home, "dist/cli/main.js");
    await run(process.execPath, [main, "init", "sink", "x", "--dir", "made"], { cwd: project });
    const { devDependencies } = (await manifestOf(join(project, "made"))) as {
      readonly devDependencies: Readonly<Record<string, string>>;
    };
    return devDependencies["sluice"];
  };

  it("comes from where the one at work comes from", { timeout: 60_000 }, async () => {
    expect(await specAfter({ dependencies: { sluice: "^0.1.0" } }, "a")).toBe(`^${version}`);
    expect(await specAfter({ devDependencies: { sluice: "file:../s.tgz" } }, "b")).toBe(
      "file:../../s.tgz",
    );
    expect(await specAfter({ dependencies: { sluice: "github:o/r#v1" } }, "c")).toBe(
      "github:o/r#v1",
    );
    expect(await manifestOf(join(dir, "sluice-sink-folder"))).toMatchObject({
      devDependencies: { sluice: expect.stringMatching(/^file:\.\..*[^/]$/) },
    });
  });
});
