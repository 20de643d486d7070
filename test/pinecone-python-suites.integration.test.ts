import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { startLocalPinecone } from "../connectors/sinks/pinecone/local/server.ts";

/**
 * The integration suites of Pinecone's Python client, run as they are against the local server: those of the
 * newest release whose source package has them. Left out: administration, assistants and pods, which it does not have.
 */
const suites = [
  ["rest_sync/db/control/resources", "rest_sync/db/control/serverless"],
  ["rest_sync/db/data", "rest_sync/inference"],
  ["rest_asyncio/db/control"],
  ["rest_asyncio/db/data", "rest_asyncio/inference"],
];
/** It puts https:// before the host that it was given, and ours begins with http://. */
const impossible =
  "rest_sync/db/data/test_initialization.py::TestIndexClientInitialization::test_index_direct_host_with_https";

interface Result {
  readonly name: string;
  readonly outcome: "passed" | "failed" | "skipped";
  readonly error?: string;
}

async function runSuites(): Promise<readonly Result[]> {
  // Plain JavaScript without types: what `npm test` itself runs first.
  const setUp = new URL("../../scripts/python-client.mjs", import.meta.url).href;
  const { suitesPython: python, suites: cwd } = (await import(setUp)) as {
    suitesPython: string;
    suites: string;
  };
  const dir = await mkdtemp(join(tmpdir(), "pinecone-python-suites-"));
  const apiKey = "the-right-key";
  const server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir, apiKey });
  const run = async (paths: readonly string[], at: number): Promise<readonly Result[]> => {
    const report = join(dir, `report-${at}`);
    const env = {
      ...process.env,
      PINECONE_API_KEY: apiKey,
      PINECONE_CONTROLLER_HOST: server.url,
      USE_GRPC: "false",
      SUITE_REPORT: report,
      PYTHONPATH: new URL("../../test/python", import.meta.url).pathname,
      PYTHONDONTWRITEBYTECODE: "1",
    };
    const options = [
      "-p",
      "suite_report",
      "-p",
      "no:cacheprovider",
      "-o",
      "addopts=",
      "--timeout",
      "120",
    ];
    const left = ["--deselect", `tests/integration/${impossible}`];
    const folders = paths.map((path) => `tests/integration/${path}`);
    const child = spawn(python, ["-m", "pytest", "-q", ...options, ...left, ...folders], {
      cwd,
      env,
    });
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => (said += text));
    await once(child, "close");
    const lines = await readFile(report, "utf8").catch(() => "");
    if (lines === "") return [{ name: paths.join(), outcome: "failed", error: said }];
    return lines
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Result);
  };
  try {
    return (await Promise.all(suites.map(run))).flat();
  } finally {
    await server.close();
    await rm(dir, { recursive: true });
  }
}

const results = await runSuites();

for (const { name, error } of results.filter(({ outcome }) => outcome !== "skipped"))
  it(name.replace("tests/integration/", ""), () => expect(error ?? "").toBe(""));

it("runs all suites, of which some skip themselves", () => {
  expect(results.filter(({ outcome }) => outcome !== "skipped").length).toBeGreaterThan(380);
});
