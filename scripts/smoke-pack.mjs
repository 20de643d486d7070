// Packs the package and uses it as a stranger would: an import, the command, a config beside it, and a connector of one's
// own. Asks no registry; scripts/smoke.mjs goes the whole way.
import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");
const dir = mkdtempSync(join(tmpdir(), "sluice-pack-"));
const run = (command, ...args) =>
  execFileSync(command, args, { cwd: dir, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
const expect = (truth, what) => {
  if (!truth) throw new Error(`smoke test of the packed package: ${what}`);
};

try {
  const [packed] = JSON.parse(
    execFileSync("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", dir], {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }),
  );
  const files = packed.files.map(({ path }) => path);
  expect(
    !files.some((path) => /^dist\/.*\.test\.|^dist\/(test|bench)\//.test(path)),
    "tests are in the package",
  );
  expect(
    files.includes("schema.json") && files.includes("LICENSE"),
    "schema.json or LICENSE is missing",
  );

  // Dependencies come from the working tree, so that this needs no registry.
  mkdirSync(join(dir, "node_modules", "sluice"), { recursive: true });
  for (const name of readdirSync(join(root, "node_modules")))
    if (!name.startsWith("."))
      symlinkSync(join(root, "node_modules", name), join(dir, "node_modules", name));
  run(
    "tar",
    "-xzf",
    join(dir, packed.filename),
    "-C",
    "node_modules/sluice",
    "--strip-components=1",
  );

  // npm warns of these, and asks whoever installs the package to allow them.
  const { scripts } = JSON.parse(
    readFileSync(join(dir, "node_modules/sluice/package.json"), "utf8"),
  );
  for (const name of ["preinstall", "install", "postinstall", "prepare"])
    expect(!(name in scripts), `it has a script that runs when it is installed: ${name}`);

  writeFileSync(
    join(dir, "ticker.js"),
    `import { defineSource, upserted, z } from "sluice";
     export const ticker = defineSource({
       name: "ticker", version: "1.0.0", summary: "One event.", config: z.strictObject({}),
       checkpoint: z.strictObject({}), emits: ["dev.sluice.record."],
       capabilities: { deletes: false, snapshotOnRequest: false, replays: true, forgets: false },
       async *read({ nextVersion }) {
         yield { checkpoint: {}, events: [upserted({ source: "/ticker", key: "1", subject: "1", version: nextVersion(),
           time: new Date().toISOString(), op: "create", after: { text: "tick" }, meta: {} })] };
       },
     });`,
  );
  writeFileSync(
    join(dir, "sluice.json"),
    JSON.stringify({
      $schema: "./node_modules/sluice/schema.json",
      connectors: [
        { name: "ticker", source: "./ticker.js", to: "ticks" },
        { name: "out", sink: "log", from: "ticks" },
      ],
    }),
  );
  const sluice = (...args) =>
    run(process.execPath, "node_modules/sluice/dist/cli/main.js", ...args);
  expect(
    JSON.parse(sluice("validate", "sluice.json", "--json")).ok,
    "validate refuses a good config",
  );
  expect(sluice("connectors").includes("pinecone"), "connectors does not list pinecone");
  expect(
    files.includes("cli/init/templates/source/src/my-source.test.ts"),
    "the templates of init are missing",
  );
  sluice("init", "source", "rss");
  const importing = `
    const began = performance.now();
    const sluice = await import("sluice");
    console.log(Object.keys(sluice).length, Math.round(performance.now() - began));`;
  const said = run(process.execPath, "--input-type=module", "-e", importing);
  const [names, importMs] = said.split(" ").map(Number);
  expect(names > 10, "sluice exports next to nothing");
  console.log(
    `packed package works: ${files.length} files, ${Math.round(packed.unpackedSize / 1024)} KiB, imported in ${importMs} ms`,
  );
} finally {
  rmSync(dir, { recursive: true, force: true });
}
