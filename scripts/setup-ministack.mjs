// Gets ministack, a server of S3, SQS and the notifications between them, from PyPI into a folder of its own: for the
// tests of the S3 source and for its example.
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
const runs = (command, ...args) => spawnSync(command, args, { stdio: "ignore", env }).status === 0;
const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "sluice-tests");
const ministack = join(cache, "ministack-1.5.33");

if (!existsSync(join(ministack, "installed"))) {
  console.log("Installing ministack with pip …");
  const isNew = "import sys; sys.exit(sys.version_info < (3, 10))";
  const python = ["python3", "python3.13", "python3.12", "python3.11", "python3.10"].find((name) =>
    runs(name, "-c", isNew),
  );
  const makeVenv = () => python !== undefined && runs(python, "-m", "venv", "--clear", ministack);
  const hasVenv = makeVenv() || (debianAsRoot("python3-venv") && makeVenv());
  if (hasVenv && runs(join(ministack, "bin/pip"), "install", "-q", "ministack==1.5.33"))
    writeFileSync(join(ministack, "installed"), "");
  else {
    console.error(
      `ministack 1.5.33 is needed, and could not be installed into ${ministack}: it takes Python 3.10 or newer with venv, and access to PyPI.`,
    );
    process.exit(3);
  }
}

/** Installs packages where that can be done without asking; true if they are there then. */
export function debianAsRoot(...packages) {
  if (process.getuid?.() !== 0 || !runs("apt-get", "--version")) return false;
  const install = () =>
    runs("apt-get", "install", "-y", "-q", "--no-install-recommends", ...packages);
  return install() || (runs("apt-get", "update", "-q") && install());
}
