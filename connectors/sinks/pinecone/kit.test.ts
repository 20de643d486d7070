import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defineVectorStore } from "sluice";
import { vectorStoreConformance } from "sluice/testing";
import { afterAll, describe, it } from "vitest";
import { pineconeConfig } from "./config.ts";
import { startLocalPinecone } from "./local/server.ts";
import { openPineconeStore } from "./store.ts";

/** The sink's store, as an extension of its own. */
const store = defineVectorStore({
  name: "pinecone",
  version: "1.0.0",
  summary: "An index at Pinecone.",
  config: pineconeConfig,
  open: openPineconeStore,
});

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
  for (const { name, run } of vectorStoreConformance({ store, config })) it(name, run);
});
