import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Libsql from "libsql";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ask } from "./harness.ts";
import { startLocalPinecone } from "./server.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "pinecone-"));
});
afterEach(() => rm(dir, { recursive: true }));

/** A file as version 1 of its format was, with one vector. */
function writeOldFile(version = 1): void {
  const file = new Libsql(join(dir, "pinecone.db"));
  file.exec(`
    CREATE TABLE indexes (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
      dimension INTEGER NOT NULL, metric TEXT NOT NULL, settings TEXT NOT NULL);
    CREATE TABLE namespaces (id INTEGER PRIMARY KEY AUTOINCREMENT, "index" INTEGER NOT NULL, name TEXT NOT NULL,
      lsn INTEGER NOT NULL, live INTEGER NOT NULL, UNIQUE ("index", name));
    CREATE TABLE vectors (number INTEGER PRIMARY KEY, namespace INTEGER NOT NULL, id TEXT NOT NULL,
      embedding BLOB NOT NULL, norm REAL NOT NULL, metadata TEXT, sparse TEXT, UNIQUE (namespace, id));
    INSERT INTO indexes (name, dimension, metric, settings) VALUES ('kb', 2, 'cosine',
      '{"cloud":"aws","region":"eu","deletion_protection":"disabled","tags":{"a":"b"}}');
    INSERT INTO namespaces ("index", name, lsn, live) VALUES (1, 'ns', 7, 1);
    INSERT INTO vectors (namespace, id, embedding, norm, metadata) VALUES (1, 'a', x'0000803f00000000', 1, '{"n":1}');
    PRAGMA user_version = ${version};
  `);
  file.close();
}

const start = (readOnly = false) =>
  startLocalPinecone({ host: "127.0.0.1", port: 0, dir, readOnly });

it("opens a file of the format before, with its vectors and its LSNs", async () => {
  writeOldFile();
  await expect(start(true)).rejects.toMatchObject({ code: "pinecone.file-older" });
  const server = await start();
  const query = { namespace: "ns", topK: 2, vector: [1, 1], filter: { n: 1 }, includeValues: true };
  const found = await ask(server.url, "POST", "/i/kb/query", query);
  expect(found.body?.["matches"]).toMatchObject([{ id: "a", values: [1, 0] }]);
  expect(found.header("x-pinecone-max-indexed-lsn")).toBe("7");
  const upsert = { namespace: "ns", vectors: [{ id: "b", values: [1, 1] }] };
  const written = await ask(server.url, "POST", "/i/kb/vectors/upsert", upsert);
  expect(written.header("x-pinecone-request-lsn")).toBe("8");
  expect((await ask(server.url, "GET", "/indexes/kb")).body).toMatchObject({
    spec: { serverless: { cloud: "aws", region: "eu" } },
    tags: { a: "b" },
  });
  await server.close();
  const reader = await start(true);
  expect((await ask(reader.url, "POST", "/i/kb/query", query)).status).toBe(200);
  const refused = await ask(reader.url, "POST", "/i/kb/vectors/upsert", upsert);
  expect(refused).toMatchObject({ status: 403 });
  await reader.close();
});

it("leaves a file alone that a newer version wrote", async () => {
  writeOldFile(99);
  await expect(start()).rejects.toMatchObject({ code: "pinecone.file-newer" });
});
