import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ask, serverless } from "./harness.ts";
import { startLocalPinecone, type LocalPinecone } from "./server.ts";

let dir: string;
let server: LocalPinecone;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "pinecone-"));
  server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir });
  await post("/indexes", { name: "kb", dimension: 2, spec: serverless });
});
afterEach(async () => {
  await server.close();
  await rm(dir, { recursive: true });
});

const post = (path: string, body?: unknown) => ask(server.url, "POST", path, body);
const configure = (settings: object) => ask(server.url, "PATCH", "/_admin/settings", settings);
const upsert = (...ids: string[]) =>
  post("/vectors/upsert", {
    namespace: "ns",
    vectors: ids.map((id) => ({ id, values: [1, 1], metadata: { n: id.length } })),
  });

/** What each kind of read sees of the namespace, and the LSN it reports. */
async function seen() {
  const query = await post("/query", { namespace: "ns", topK: 100, vector: [1, 1] });
  const list = await ask(server.url, "GET", "/vectors/list?namespace=ns");
  const idsOf = (items: unknown) => (items as { id: string }[]).map(({ id }) => id);
  const fetched = await ask(server.url, "GET", "/vectors/fetch?ids=a&ids=b&ids=c&namespace=ns");
  return {
    query: idsOf(query.body?.["matches"]),
    list: idsOf(list.body?.["vectors"]),
    fetch: Object.keys(fetched.body?.["vectors"] ?? {}),
    lsns: [query, list, fetched].map((told) => told.header("x-pinecone-max-indexed-lsn")),
  };
}
const all = (ids: string[], lsn: number) => ({
  query: ids,
  list: ids,
  fetch: ids,
  lsns: [lsn, lsn, lsn].map(String),
});

it("holds writes back while paused, and lets them through one by one, in the order of their LSNs", async () => {
  await upsert("a");
  await configure({ mode: "paused" });
  expect((await upsert("b", "c")).header("x-pinecone-request-lsn")).toBe("2");
  await post("/vectors/update", { namespace: "ns", id: "a", setMetadata: { n: 9 } });
  await post("/vectors/delete", { namespace: "ns", filter: { n: 9 } });
  expect(await seen()).toEqual(all(["a"], 1));
  const release = () => post("/_admin/release", { index: "kb", namespace: "ns", count: 1 });
  expect((await release()).body).toEqual({ released: 1 });
  expect(await seen()).toEqual(all(["a", "b", "c"], 2));
  await release();
  // The filter of a waiting delete sees what the writes before it made.
  await release();
  expect(await seen()).toEqual(all(["b", "c"], 4));
  expect((await release()).body).toEqual({ released: 0 });
});

it("lets go what it held once nothing is paused any more, and holds no later write behind it", async () => {
  await configure({ mode: "paused" });
  await upsert("a");
  expect(await seen()).toEqual(all([], 0));
  await configure({ mode: "auto" });
  expect(await seen()).toEqual(all(["a"], 1));
  await configure({ mode: "paused" });
  await upsert("b");
  await ask(server.url, "DELETE", "/_admin/settings");
  await upsert("c");
  expect(await seen()).toEqual(all(["a", "b", "c"], 3));
});

it("shows a write when its time has come, and never before the one accepted before it", async () => {
  await configure({ indexDelayMs: 60_000, namespaces: { "kb/ns": { indexDelayMs: 300 } } });
  const accepted = Date.now();
  await upsert("a");
  await configure({ namespaces: { "kb/ns": {} } });
  // Without a delay of its own, but behind one that waits.
  await upsert("b");
  const before = await seen();
  if (Date.now() - accepted < 300) expect(before).toEqual(all([], 0));
  const deadline = Date.now() + 10_000;
  while ((await seen()).list.length < 2 && Date.now() < deadline) await sleep(20);
  expect(await seen()).toEqual(all(["a", "b"], 2));
  expect(Date.now() - accepted).toBeGreaterThanOrEqual(300);
});

it("keeps what waits over a restart, and other servers of the folder wait with it", async () => {
  await configure({ mode: "paused" });
  await upsert("a");
  await server.close();
  server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir });
  await upsert("b");
  expect(await seen()).toEqual(all([], 0));
  expect((await ask(server.url, "GET", "/_admin/namespaces")).body).toMatchObject({
    namespaces: [{ index: "kb", namespace: "ns", lsn: 2, visible: 0, waiting: 2 }],
  });
  expect((await post("/_admin/release")).body).toEqual({ released: 2 });
  expect(await seen()).toEqual(all(["a", "b"], 2));
});

it("makes the named kinds of reads fresh, and no other", async () => {
  await upsert("a");
  await configure({ mode: "paused", fresh: ["fetch", "query", "stats"] });
  await upsert("b");
  await post("/vectors/delete", { namespace: "ns", ids: ["a"] });
  for (let time = 0; time < 2; time++)
    expect(await seen()).toEqual({
      query: ["b"],
      list: ["a"],
      fetch: ["b"],
      lsns: ["3", "1", "3"],
    });
  const { body } = await post("/describe_index_stats");
  expect(body).toMatchObject({ totalVectorCount: 1 });
  await configure({ fresh: [] });
  expect(await seen()).toEqual(all(["a"], 1));
});

it("deletes a namespace with all that waits in it", async () => {
  await configure({ mode: "paused" });
  await upsert("a");
  expect((await ask(server.url, "DELETE", "/namespaces/ns")).status).toBe(200);
  expect((await post("/_admin/release")).body).toEqual({ released: 0 });
  expect(await seen()).toEqual(all([], 2));
});

it("answers counts that are as old as the delay of stats allows", async () => {
  await configure({ statsDelayMs: 60_000 });
  const count = async () => (await post("/describe_index_stats")).body?.["totalVectorCount"];
  expect(await count()).toBe(0);
  await upsert("a");
  expect(await count()).toBe(0);
  await configure({ statsDelayMs: 0 });
  expect(await count()).toBe(1);
});

it("tells LSNs under the names that a setting chooses", async () => {
  const names = {
    observed: ["x-pinecone-request-lsn", "x-pinecone-max-indexed-lsn"],
    python: ["x-pinecone-lsn-committed", "x-pinecone-lsn-reconciled"],
  };
  const every = [...names.observed, ...names.python];
  for (const [lsnHeaders, wanted] of [
    ["observed", names.observed],
    ["python", names.python],
    ["both", every],
    ["writesOnly", [names.observed[0]]],
    ["none", []],
  ] as const) {
    await configure({ lsnHeaders });
    const written = await upsert("a");
    const read = await post("/query", { namespace: "ns", topK: 1, vector: [1, 1] });
    const told = every.filter((name) => (written.header(name) ?? read.header(name)) !== undefined);
    expect(told, lsnHeaders).toEqual(wanted);
  }
});
