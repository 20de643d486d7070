// Pinecone's Python client in a virtual environment of its own: made once, kept in the user's cache.
// SLUICE_TEST_PYTHON (a python that has the package) replaces it.
import { spawnSync } from "node:child_process";
import { homedir } from "node:os";
import { join } from "node:path";

export const version = "10.2.0";
const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
const folder = join(cache, "sluice", `pinecone-python-${version}`);

/** The python to run the client with, whether it is there or not. */
export const python = process.env.SLUICE_TEST_PYTHON || join(folder, "bin", "python");

const runs = (command, ...args) =>
  spawnSync(command, args, { stdio: ["ignore", "ignore", "inherit"] }).status === 0;

/** Whether that python imports the very version that the tests are for. */
export function hasPythonClient() {
  const check = `import pinecone; assert pinecone.__version__ == "${version}", pinecone.__version__`;
  return spawnSync(python, ["-c", check], { stdio: "ignore" }).status === 0;
}

/** Installs it where it is missing. Says whether it is there. */
export function installPythonClient() {
  if (hasPythonClient()) return true;
  if (process.env.SLUICE_TEST_PYTHON) return false;
  console.log(`Tests need Pinecone's Python client ${version}: installing it into ${folder} …`);
  return (
    runs("python3", "-m", "venv", "--clear", folder) &&
    runs(python, "-m", "pip", "install", "--quiet", `pinecone==${version}`) &&
    hasPythonClient()
  );
}
