// Gets what the tests need and npm cannot give: a redis-server, and Pinecone's Python clients. On Debian as
// root what the system lacks is installed through apt; elsewhere this says precisely what is missing.
// SLUICE_TEST_REDIS (a URL) replaces the server, SLUICE_TEST_PYTHON (a python) the client.
import { spawnSync } from "node:child_process";
import { installPythonClients, suitesVersion, version } from "./python-client.mjs";
import "./setup-mongod.mjs";
import "./setup-s3.mjs";

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

if (!installPythonClients()) {
  // Debian's python3 comes without what makes virtual environments.
  const isDebianRoot = process.getuid?.() === 0 && runs("apt-get", "--version");
  if (isDebianRoot) {
    const install = () =>
      runs("apt-get", "install", "-y", "-q", "--no-install-recommends", "python3-venv");
    if (!install()) {
      runs("apt-get", "update", "-q");
      install();
    }
  }
  if (!isDebianRoot || !installPythonClients()) {
    console.error(
      [
        `Tests need Pinecone's Python clients ${version} and ${suitesVersion}, and they cannot be installed.`,
        "It takes a python3 (3.10 or newer) with venv and pip, and the package index that pip is set up for.",
        `Or name a python that has the first (SLUICE_TEST_PYTHON=/path/to/python) and a folder that has the second and its tests (SLUICE_TEST_PYTHON_SUITES, see scripts/python-client.mjs).`,
      ].join("\n"),
    );
    process.exit(3);
  }
}
