// The whole way of a newcomer, from the packed package in an empty folder: install, init, build, lint, kit, run, see events,
// pack a connector and name it in another pipeline. Uses the node and npm of PATH and the npm registry, nothing else of the net.
// Another npm: npx -y -p npm@12 node scripts/smoke.mjs
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { replace, run, running } from "./smoke-commands.mjs";

const root = resolve(import.meta.dirname, "..");
const dir = await mkdtemp(join(tmpdir(), "sluice-smoke-"));
const began = performance.now();
const install = ["install", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"];

function say(what) {
  console.log(`${((performance.now() - began) / 1_000).toFixed(1).padStart(6)} s  ${what}`);
}

/** Installs, lints and tests a connector's package, and looks at its options as an editor and a person would. */
async function build(kind, name) {
  const home = join(dir, `sluice-${kind}-${name}`);
  await run(home, "npm", ...install);
  await run(home, "npm", "run", "lint");
  const said = await run(home, "npm", "test");
  const passed = Number(/^(?:# |ℹ )pass (\d+)$/m.exec(said)?.[1]);
  if (!(passed > 5)) throw new Error(`${home}: npm test passed ${passed} cases.\n${said}`);
  const [about] = JSON.parse(
    await run(home, "npx", "sluice", "connectors", `./dist/${name}.js`, "--json"),
  ).result;
  if (about.kind !== kind || about.name !== name)
    throw new Error(`${home}: connectors told ${about}`);
  await run(home, "npm", "run", "schema");
  const { $defs } = JSON.parse(await readFile(join(home, "sluice.schema.json"), "utf8"));
  if (!$defs[`${kind}../dist/${name}.js`]) throw new Error(`${home}: not in its schema`);
  say(`${kind}: installed, linted, ${passed} cases of the kit`);
  return home;
}

async function source() {
  const home = await build("source", "rss");
  await running(home, async (until) => {
    await until((said) => said.includes("The lock opens at six"), "the entries");
    await replace(join(home, "example/feed.xml"), "opens at six in", "opens at five in");
    await until((said) => said.includes("opens at five in"), "the edited entry");
  });
  await run(home, "npm", "pack");
  say("source: events seen, and an edit");
}

async function transform() {
  const home = await build("transform", "redact");
  await running(home, async (until) => {
    await until((said) => said.includes("answers at [address]"), "the redacted note");
    await until((said) => said.includes("It lifts up to 40"), "the other note");
  });
  say("transform: events seen, redacted");
}

async function sink() {
  const home = await build("sink", "folder");
  const out = join(home, "out");
  const holds = async (text) => {
    const names = existsSync(out) ? await readdir(out) : [];
    const all = await Promise.all(
      names.map((name) => readFile(join(out, name), "utf8").catch(() => "")),
    );
    return all.some((one) => one.includes(text));
  };
  await running(home, async (until) => {
    await until(() => holds("40 tonnes"), "a file of the note");
    await replace(join(home, "notes/crane.md"), "40 tonnes", "50 tonnes");
    await until(() => holds("50 tonnes"), "the edited note");
  });
  say("sink: files seen, and an edit");
}

async function pipeline() {
  const home = join(dir, "handbook");
  await run(home, "npm", ...install);
  await running(home, async (until) => {
    const search = ["run", "-s", "search", "--", "When does the lock open?", "--json"];
    await until(
      async () =>
        (await run(home, "npm", ...search).catch(() => "")).includes("six in the morning"),
      "an answer",
    );
  });
  say("pipeline: an answer found");
  return home;
}

/** What was packed is installed where it is used, and named as a package. */
async function use(home) {
  await run(home, "npm", ...install, "../sluice-source-rss/sluice-source-rss-1.0.0.tgz");
  await replace(join(home, "sluice.json"), `"source": "file"`, `"source": "sluice-source-rss"`);
  const refused = await run(home, "npm", "run", "-s", "validate").catch(({ message }) => message);
  if (!refused.includes("url is missing")) throw new Error(`validate said: ${refused}`);
  const file = join(home, "sluice.json");
  const config = JSON.parse(await readFile(file, "utf8"));
  config.connectors[0].config = { url: "https://harbour.example/feed.xml" };
  await writeFile(file, JSON.stringify(config));
  await run(home, "npm", "run", "validate");
  await run(home, "npx", "sluice", "connectors", "sluice-source-rss");
  say("the packed source is known by its package's name");
}

try {
  await run(root, "npm", "pack", "--ignore-scripts", "--pack-destination", dir);
  const [packed] = (await readdir(dir)).filter((name) => name.endsWith(".tgz"));
  const first = join(dir, "first");
  await mkdir(first);
  await run(first, "npm", "init", "-y");
  await run(first, "npm", ...install, `../${packed}`);
  say(
    `${packed} installed with node ${process.version}, npm ${(await run(first, "npm", "-v")).trim()}`,
  );
  for (const [kind, name] of [
    ["source", "rss"],
    ["transform", "redact"],
    ["sink", "folder"],
  ])
    await run(first, "npx", "sluice", "init", kind, name, "--dir", `../sluice-${kind}-${name}`);
  await run(first, "npx", "sluice", "init", "pipeline", "handbook", "--dir", "../handbook");
  say("init: source, transform, sink, pipeline");
  // Two at a time: an install waits for the disk more than for a processor.
  const ways = [transform().then(sink), source().then(pipeline).then(use)];
  for (const way of await Promise.allSettled(ways)) if (way.reason) throw way.reason;
  say("a newcomer's way works");
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await rm(dir, { recursive: true, force: true, maxRetries: 5 });
}
