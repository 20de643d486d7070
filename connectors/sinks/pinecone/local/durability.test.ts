import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { startLocalPinecone } from "./server.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "pinecone-"));
});
afterEach(() => rm(dir, { recursive: true }));

/** A server in a process of its own, which tells its address on stdout. */
async function startChild() {
  const module = JSON.stringify(new URL("./server.js", import.meta.url).href);
  const options = JSON.stringify({ host: "127.0.0.1", port: 0, dir });
  const script = `import { startLocalPinecone } from ${module}; console.log((await startLocalPinecone(${options})).url);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [url] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
  return { child, url: url.trim() };
}

async function call(url: string, method: string, path: string, body?: object) {
  const response = await fetch(url + path, {
    method,
    headers: { "Api-Key": "any" },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${text}`);
  return JSON.parse(text) as Record<string, never>;
}

const index = {
  name: "kb",
  dimension: 2,
  spec: { serverless: { cloud: "aws", region: "us-east-1" } },
};

it("keeps every acknowledged upsert over kill -9", async () => {
  const { child, url } = await startChild();
  await call(url, "POST", "/indexes", index);
  const acknowledged: string[] = [];
  const exited = once(child, "exit");
  const writers = [0, 1, 2].map(async (writer) => {
    for (let i = 0; ; i++) {
      const id = `${writer}-${i}`;
      await call(url, "POST", "/i/kb/vectors/upsert", { vectors: [{ id, values: [1, 1] }] });
      if (acknowledged.push(id) === 60) child.kill("SIGKILL");
    }
  });
  const ends = await Promise.allSettled(writers);
  await exited;
  expect(ends.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
  expect(acknowledged.length).toBeGreaterThanOrEqual(60);

  const again = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir });
  const query = acknowledged.map((id) => `ids=${id}`).join("&");
  const { vectors } = await call(again.url, "GET", `/i/kb/vectors/fetch?${query}`);
  expect(Object.keys(vectors ?? {}).toSorted()).toEqual(acknowledged.toSorted());
  await again.close();
});

it("is shared by processes that start at the same moment", async () => {
  const children = await Promise.all([startChild(), startChild(), startChild()]);
  const [first] = children;
  await call(first?.url ?? "", "POST", "/indexes", index);
  await Promise.all(
    children.map(async ({ url }, writer) => {
      for (let i = 0; i < 20; i++) {
        await call(url, "POST", "/i/kb/vectors/upsert", {
          vectors: [{ id: `${writer}-${i}`, values: [1, 1] }],
        });
      }
    }),
  );
  for (const { url } of children) {
    expect((await call(url, "POST", "/i/kb/describe_index_stats", {}))["totalVectorCount"]).toBe(
      60,
    );
  }
  await Promise.all(
    children.map(async ({ child }) => {
      child.kill();
      await once(child, "exit");
    }),
  );
});
