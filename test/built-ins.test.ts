import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { catalog } from "../connectors/registry.ts";

// What is built in is written as a third party would write it, and proven as a third party would prove it.

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const home = join(root, "connectors");
const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly dependencies: Readonly<Record<string, string>>;
};
const files = readdirSync(home, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts") && path !== "registry.ts")
  .map((path) => ({ path, text: readFileSync(join(home, path), "utf8") }));
const isOfTests = (path: string) => /\.test\.|(^|\/)(harness|memory-store)\.ts$/.test(path);

/** `retrieve` reads what a sink wrote, by that sink's own config: the one place that knows both. */
const knowsSinks = "_shared/vector-sync/indexes.ts";

describe.each(["sources", "transforms", "sinks"] as const)("each of the %s", (kinds) => {
  it.each(Object.keys(catalog[kinds]))("that is built in passes the kit: %s", (name) => {
    const kit = `${kinds.slice(0, -1)}Conformance(`;
    const tests = files.filter(
      ({ path, text }) => path.startsWith(`${kinds}/${name}/`) && text.includes(kit),
    );
    expect(tests.map(({ path }) => path)).not.toEqual([]);
    for (const { text } of tests) expect(text).toContain('from "sluice/testing"');
    // It outlives a kill, too.
    if (kinds === "transforms") return;
    const module = new RegExp(`new URL\\("\\.{1,2}/${name}\\.js", import\\.meta\\.url\\)`);
    expect(tests.some(({ text }) => module.test(text))).toBe(true);
  });
});

it("a connector imports sluice, its own folder, what connectors share, and packages that are installed with it", () => {
  const wrong = files
    .filter(({ path }) => !isOfTests(path))
    .flatMap(({ path, text }) =>
      importsOf(text)
        .filter((what) => !mayImport(path, what))
        .map((what) => `${path}: ${what}`),
    );
  expect(wrong).toEqual([]);
});

function importsOf(text: string): readonly string[] {
  const found = text.matchAll(
    /(?:^(?:import|export|\}) [^"\n]*from |^import |\bimport\()"([^"]+)"/gm,
  );
  return [...found].map(([, what = ""]) => what);
}

function mayImport(path: string, what: string): boolean {
  if (what === "sluice" || what.startsWith("node:")) return true;
  if (!what.startsWith(".")) {
    const name = what.split("/", what.startsWith("@") ? 2 : 1).join("/");
    return name in dependencies && !builtinModules.includes(name);
  }
  const target = relative(home, resolve(home, dirname(path), what));
  const [kind, own] = path.split("/");
  if (target.startsWith("_shared/") || target.startsWith(`${kind}/${own}/`)) return true;
  return path === knowsSinks && target.startsWith("sinks/");
}
