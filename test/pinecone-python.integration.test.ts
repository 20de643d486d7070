import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { startLocalPinecone } from "../connectors/sinks/pinecone/local/server.ts";

interface Case {
  readonly name: string;
  readonly error?: string;
}

/** Runs the cases of a script, which are written in Python, once. */
async function runCases(name: string): Promise<readonly Case[]> {
  // Plain JavaScript without types: what `npm test` itself runs first.
  const setUp = new URL("../../scripts/python-client.mjs", import.meta.url).href;
  const { python } = (await import(setUp)) as { python: string };
  const dir = await mkdtemp(join(tmpdir(), "pinecone-python-"));
  const apiKey = "the-right-key";
  const server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir, apiKey });
  try {
    const script = new URL(`../../test/python/${name}`, import.meta.url).pathname;
    const env = { ...process.env, PINECONE_URL: server.url, PINECONE_KEY: apiKey };
    const { stdout } = await promisify(execFile)(python, [script], { env });
    return stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Case);
  } catch (error) {
    return [{ name: "starts", error: (error as Error).message }];
  } finally {
    await server.close();
    await rm(dir, { recursive: true });
  }
}

const operations = await runCases("pinecone_cases.py");
const suites = await runCases("pinecone_suite_cases.py");

for (const { name, error } of [...operations, ...suites])
  it(`Pinecone's Python client ${name}`, () => expect(error ?? "").toBe(""));

it("runs all cases", () => {
  expect(operations.length).toBeGreaterThan(20);
  expect(suites.length).toBeGreaterThan(15);
});
