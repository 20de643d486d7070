import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { vectorStoreConformance } from "sluice/testing";
import { afterAll, describe, it } from "vitest";
import { startLocalPinecone } from "./local/server.ts";
import { pineconeStore } from "./store.test.data.ts";

const dir = await mkdtemp(join(tmpdir(), "pinecone-kit-"));
const server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir: join(dir, "served") });
afterAll(async () => {
  await server.close();
  await rm(dir, { recursive: true });
});

describe.each<[string, Record<string, unknown>]>([
  ["over HTTP", { index: "kit", apiKey: "key-of-pinecone", url: server.url, create: true }],
  ["that it serves itself", { index: "kit", local: join(dir, "local"), create: true }],
])("the Pinecone store, %s, keeps what vector sync relies on:", (_, config) => {
  const module = new URL("./store.test.data.js", import.meta.url);
  const absent = { ...config, index: "kit-absent" };
  const given = { store: pineconeStore, config, module, absent };
  for (const { name, run } of vectorStoreConformance(given)) it(name, run, 60_000);
});
