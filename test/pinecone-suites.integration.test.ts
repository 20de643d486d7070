import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { startLocalPinecone } from "../connectors/sinks/pinecone/local/server.ts";

/**
 * The integration suites that Pinecone's own client 8 carries in its package, run as they are against the local
 * server. Left out: imports, documents and assistants, which it does not have, and what tests the client alone.
 */
const suites = [
  "data/vectors/delete",
  "data/vectors/fetch",
  "data/vectors/fetchByMetadata",
  "data/vectors/list",
  "data/vectors/query",
  "data/vectors/upsertAndUpdate",
  "data/namespaces/namespaces",
  "control/configureIndex",
  "control/createIndex",
  "control/describeIndex",
  "control/listIndexes",
  "inference/embed",
  "inference/integratedInference",
  "inference/models",
  "inference/rerank",
  "errorHandling",
  "initialization",
];
const carrier = "@pinecone-database/pinecone";
/** Packages to run the suites through: newer ones do not carry them. */
const clients = [carrier, "pinecone-9"];
/** What newer clients refuse themselves, before they ask the server: of these suites it is the bodies that fail. */
const pods = new Set([
  "create pod index",
  "create from non-existent collection",
  "create sparse pod index",
]);
const apiKey = "the-right-key";

// What jest gives to every file.
Object.assign(globalThis, {
  describe,
  expect,
  beforeAll,
  beforeEach,
  afterAll,
  afterEach,
  jest: vi,
});
const require = createRequire(import.meta.url);

const dir = await mkdtemp(join(tmpdir(), "pinecone-suites-"));
const server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir, apiKey });
vi.stubEnv("PINECONE_API_KEY", apiKey);
// Some of the suites' clients take no other address than the real service's.
const realFetch = fetch;
vi.stubGlobal("fetch", async (input: string, init: RequestInit) => {
  return from(input, await realFetch(input.replace("https://api.pinecone.io", server.url), init));
});

beforeAll(async () => {
  vi.stubEnv("FIXTURES_JSON", JSON.stringify(await fixtures()));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  vi.unstubAllGlobals();
  await server.close();
  await rm(dir, { recursive: true });
});

for (const client of clients)
  describe(client, () => {
    for (const suite of suites) describe(suite, () => runSuite(suite, client));
  });

/** Runs a suite anew, with another package in the place of the client that it comes with. */
function runSuite(suite: string, client: string): void {
  const dist = join(dirname(require.resolve(`${carrier}/package.json`)), "dist");
  for (const path of Object.keys(require.cache))
    if (path.startsWith(dist)) delete require.cache[path];
  const main = join(dist, "index.js");
  require(main);
  const loaded = require.cache[main];
  if (loaded !== undefined && client !== carrier) loaded.exports = require(client);
  const test = (name: string, body: () => Promise<void>, timeoutMs?: number): void => {
    if (client === carrier || !pods.has(name)) it(name, body, timeoutMs);
    else it(`${name}: refused by the client`, async () => await expect(body()).rejects.toThrow());
  };
  Object.assign(globalThis, { it: test, test });
  require(join(dist, `integration/${suite}.test.js`));
}

/** The response as if it came from that address: errors name it. */
function from(url: string, response: Response): Response {
  const clone = () => from(url, Response.prototype.clone.call(response));
  return Object.defineProperties(response, { url: { value: url }, clone: { value: clone } });
}

/** The index with eleven vectors that the suites' own set-up makes, without the assistant it makes too. */
async function fixtures() {
  const name = "pretest";
  const [key, value] = ["genre", "drama"];
  const ids = ["diff-prefix-0", ...Array.from({ length: 10 }, (_, at) => `preTest-${at}`)];
  const call = async (path: string, body: object) => {
    const response = await fetch(server.url + path, {
      method: "POST",
      headers: { "Api-Key": apiKey },
      body: JSON.stringify(body),
    });
    expect(response.ok, await response.text()).toBe(true);
  };
  await call("/indexes", {
    name,
    dimension: 2,
    metric: "dotproduct",
    spec: { serverless: { cloud: "aws", region: "us-west-2" } },
    tags: { project: "pinecone-integration-tests" },
  });
  await call(`/i/${name}/vectors/upsert`, {
    namespace: "global-ns-one",
    vectors: ids.map((id, at) => ({
      id,
      values: [(at + 1) / 20, 0.5],
      metadata: { [key]: at % 2 === 0 ? value : "comedy" },
    })),
  });
  return {
    serverlessIndex: {
      name,
      dimension: 2,
      metric: "dotproduct",
      recordIds: ids,
      metadataFilter: { key, value },
    },
    assistant: { name: "none", testFilePath: "" },
  };
}
