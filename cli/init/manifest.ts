import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import type { InitKind, Names } from "./names.ts";

interface Manifest {
  readonly version: string;
  readonly engines: { readonly node: string };
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** The package.json of something new in `dir`, that works with the Sluice whose package is at `root`. */
export function manifestFor(
  kind: InitKind,
  { name, packageName }: Names,
  { root, dir }: { readonly root: string; readonly dir: string },
): object {
  const own = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;
  const sluice = asInstalled(root, dir) ?? `^${own.version}`;
  if (kind === "pipeline")
    return {
      name: packageName,
      private: true,
      type: "module",
      engines: own.engines,
      scripts: {
        start: "sluice start",
        validate: "sluice validate",
        search: "sluice search search",
      },
      dependencies: { sluice },
    };
  const from = (name: string) => `^${own.dependencies[name] ?? own.devDependencies[name] ?? ""}`;
  return {
    name: packageName,
    version: "1.0.0",
    description: `A ${kind} for Sluice.`,
    keywords: ["sluice", `sluice-${kind}`],
    type: "module",
    engines: own.engines,
    exports: { ".": { types: `./dist/${name}.d.ts`, default: `./dist/${name}.js` } },
    files: ["dist", "!dist/*.test.*"],
    scripts: {
      build: "tsc",
      lint: "oxlint",
      test: `npm run build && node --test --test-force-exit dist/*.test.js`,
      start: `npm run build && ${kind === "source" ? "node example/start.mjs" : "sluice start"}`,
      schema: "npm run build && sluice schema --config sluice.json > sluice.schema.json",
      prepack: "npm run build",
    },
    ...(kind === "source" && { dependencies: { htmlparser2: from("htmlparser2") } }),
    // A peer, so that a connector and who runs it have one Sluice between them.
    peerDependencies: { sluice: `^${own.version}` },
    devDependencies: {
      "@types/node": from("@types/node"),
      oxlint: from("oxlint"),
      sluice,
      typescript: from("typescript"),
    },
  };
}

/** How to get this very Sluice where it does not come from the registry: a clone, or a package that was packed. */
function asInstalled(root: string, dir: string): string | undefined {
  const toFile = (path: string) => `file:${relative(dir, path).split(sep).join("/")}`;
  if (basename(dirname(root)) !== "node_modules")
    return existsSync(join(root, "tsconfig.json")) ? toFile(root) : undefined;
  const project = dirname(dirname(root));
  const file = join(project, "package.json");
  if (!existsSync(file)) return undefined;
  const { dependencies, devDependencies } = JSON.parse(
    readFileSync(file, "utf8"),
  ) as Partial<Manifest>;
  const spec = { ...devDependencies, ...dependencies }["sluice"];
  if (spec?.startsWith("file:")) return toFile(resolve(project, spec.slice("file:".length)));
  return spec !== undefined && /[:/]/.test(spec) ? spec : undefined;
}
