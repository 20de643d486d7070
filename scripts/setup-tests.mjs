// Gets what the tests need and npm cannot give: a redis-server. On Debian as root it is installed
// through apt; elsewhere this says precisely what is missing. SLUICE_TEST_REDIS (a URL) replaces it.
import { spawnSync } from "node:child_process";
import "./setup-mongod.mjs";

const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
const runs = (command, ...args) => spawnSync(command, args, { stdio: "ignore", env }).status === 0;
const hasRedis = () => runs("redis-server", "--version");

if (process.env.SLUICE_TEST_REDIS === undefined && !hasRedis()) {
  if (process.getuid?.() === 0 && runs("apt-get", "--version")) {
    console.log("Tests need redis-server: installing it with apt-get …");
    // --no-install-recommends and no service start: tests start servers of their own on free ports.
    const install = () =>
      runs("apt-get", "install", "-y", "-q", "--no-install-recommends", "redis-server");
    if (!install()) {
      runs("apt-get", "update", "-q");
      install();
    }
  }
  if (!hasRedis()) {
    console.error(
      [
        "Tests need a redis-server (6.2 or newer) on the PATH, and there is none.",
        "  Debian, Ubuntu:  sudo apt-get install redis-server",
        "  Fedora:          sudo dnf install redis",
        "  macOS:           brew install redis",
        "Or name a running one that may be filled: SLUICE_TEST_REDIS=redis://localhost:6379 npm test",
      ].join("\n"),
    );
    process.exit(3);
  }
}
