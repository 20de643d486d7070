// Pinecone's Python clients in virtual environments of their own: made once, kept in the user's cache.
// SLUICE_TEST_PYTHON (a python that has the newest client) and SLUICE_TEST_PYTHON_SUITES (a folder that was
// made as below) replace them.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

export const version = "10.2.0";
/** The newest release that carries the client's own integration suites, in its source package. */
export const suitesVersion = "8.1.2";
const suitesNeed = [
  `pinecone[asyncio]==${suitesVersion}`,
  "pytest==8.2.0",
  "pytest-asyncio==0.25.3",
  "pytest-retry==1.7.0",
  "pytest-timeout==2.2.0",
  "python-dotenv==1.1.0",
  "pandas>=2.2.2,<3",
];
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "sluice");
const folder = join(cache, `pinecone-python-${version}`);
const suitesFolder =
  process.env.SLUICE_TEST_PYTHON_SUITES || join(cache, `pinecone-python-suites-${suitesVersion}`);

/** The python to run the client with, whether it is there or not. */
export const python = process.env.SLUICE_TEST_PYTHON || join(folder, "bin", "python");
/** The python to run the suites with, and the folder that has them in `tests`. */
export const suitesPython = join(suitesFolder, "bin", "python");
export const suites = join(suitesFolder, `pinecone-${suitesVersion}`);

const runs = (command, ...args) =>
  spawnSync(command, args, { stdio: ["ignore", "ignore", "inherit"] }).status === 0;

const has = (python, modules, version) => {
  const check = `import ${modules}; assert pinecone.__version__ == "${version}", pinecone.__version__`;
  return spawnSync(python, ["-c", check], { stdio: "ignore" }).status === 0;
};

/** Installs what is missing of both. Says whether they are there. */
export function installPythonClients() {
  return installClient() && installSuites();
}

function installClient() {
  if (has(python, "pinecone", version)) return true;
  if (process.env.SLUICE_TEST_PYTHON) return false;
  console.log(`Tests need Pinecone's Python client ${version}: installing it into ${folder} …`);
  return (
    runs("python3", "-m", "venv", "--clear", folder) &&
    runs(python, "-m", "pip", "install", "--quiet", `pinecone==${version}`) &&
    has(python, "pinecone", version)
  );
}

function installSuites() {
  const isThere = () =>
    existsSync(join(suites, "tests", "integration")) &&
    has(suitesPython, "pinecone, pandas, pytest_asyncio, pytest_retry, dotenv", suitesVersion);
  if (isThere()) return true;
  if (process.env.SLUICE_TEST_PYTHON_SUITES) return false;
  console.log(`Tests need the suites of ${suitesVersion}: installing them into ${suitesFolder} …`);
  const pip = [suitesPython, "-m", "pip"];
  const source = ["--no-deps", "--no-binary", "pinecone", "--dest", suitesFolder];
  return (
    runs("python3", "-m", "venv", "--clear", suitesFolder) &&
    runs(...pip, "install", "--quiet", ...suitesNeed) &&
    runs(...pip, "download", "--quiet", ...source, `pinecone==${suitesVersion}`) &&
    runs(suitesPython, "-m", "tarfile", "-e", `${suites}.tar.gz`, suitesFolder) &&
    isThere()
  );
}
