import { once } from "node:events";
import { cp, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ask, serverless, startChild } from "./harness.ts";
import { startLocalPinecone } from "./server.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "pinecone-"));
});
afterEach(() => rm(dir, { recursive: true }));

const index = { name: "kb", dimension: 2, spec: serverless };

async function succeed(url: string, method: string, path: string, body?: object) {
  const told = await ask(url, method, path, body);
  if (told.status >= 300) throw new Error(`${told.status} ${JSON.stringify(told.body)}`);
  return told.body ?? {};
}

/** Ids and the generation that their metadata names. */
type State = ReadonlyMap<string, number>;

/** Writes to a namespace of its own, one write after the other, until the server is gone. */
function openWriter(namespace: string) {
  let acknowledged: State = new Map();
  /** What holds if the write on the wire was applied. */
  let asked: State = new Map();
  let generation = 0;
  const write = async (url: string): Promise<void> => {
    generation++;
    const next = new Map(acknowledged);
    const ids = Array.from(
      { length: 1 + (generation % 5) * 10 },
      (_, at) => `${(at * generation) % 97}`,
    );
    const kind = generation % 4;
    if (kind === 3) {
      for (const id of ids) next.delete(id);
      asked = next;
      await succeed(url, "POST", "/i/kb/vectors/delete", { namespace, ids });
    } else if (kind === 2) {
      const setMetadata = { generation };
      for (const id of next.keys()) next.set(id, generation);
      asked = next;
      const filter = { generation: { $gt: 0 } };
      await succeed(url, "POST", "/i/kb/vectors/update", { namespace, filter, setMetadata });
    } else {
      for (const id of ids) next.set(id, generation);
      asked = next;
      const vectors = ids.map((id) => ({ id, values: [1, 1], metadata: { generation } }));
      await succeed(url, "POST", "/i/kb/vectors/upsert", { namespace, vectors });
    }
    acknowledged = next;
  };
  return {
    run: async (url: string, acknowledge: () => void): Promise<never> => {
      for (;;) {
        await write(url);
        acknowledge();
      }
    },
    check: async (url: string, where: string): Promise<void> => {
      const path = `/_admin/vectors?index=kb&namespace=${namespace}`;
      const { vectors } = (await succeed(url, "GET", path)) as unknown as {
        vectors: { id: string; metadata: { generation: number } }[];
      };
      const found = new Map(vectors.map(({ id, metadata }) => [id, metadata.generation]));
      const isAsked = sorted(found) === sorted(asked);
      if (!isAsked) expect(sorted(found), where).toBe(sorted(acknowledged));
      acknowledged = found;
    },
  };
}

function sorted(state: State): string {
  return JSON.stringify([...state].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

it("keeps every acknowledged write, and each whole, over 20 kills of 20", async () => {
  const writers = ["one", "two", "three"].map(openWriter);
  for (let round = 0; round < 20; round++) {
    const { child, url } = await startChild({ dir });
    const exited = once(child, "exit");
    if (round === 0) await succeed(url, "POST", "/indexes", index);
    else for (const writer of writers) await writer.check(url, `after kill ${round}`);
    let left = 10 + 7 * round;
    const ends = await Promise.allSettled(
      writers.map((writer) =>
        writer.run(url, () => {
          if (--left === 0) child.kill("SIGKILL");
        }),
      ),
    );
    await exited;
    expect(ends.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    expect(left).toBeLessThanOrEqual(0);
  }
  const server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir });
  for (const writer of writers) await writer.check(server.url, "after the last kill");
  await server.close();
}, 120_000);

it("leaves all in one file when it is closed, and answers first what it was asked", async () => {
  const server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir });
  await succeed(server.url, "POST", "/indexes", index);
  await succeed(server.url, "POST", "/_admin/faults", {
    match: { operation: "upsert" },
    action: { delayMs: 300 },
  });
  const vectors = [{ id: "a", values: [1, 1] }];
  const writing = succeed(server.url, "POST", "/i/kb/vectors/upsert", { vectors });
  const begun = async () => (await ask(server.url, "GET", "/_admin/faults")).body;
  await expect.poll(begun).toMatchObject({ faults: [{ matched: 1 }] });
  const closed = server.close({ graceMs: 30_000 });
  expect(await writing).toEqual({ upsertedCount: 1 });
  await closed;
  expect(await readdir(dir)).toEqual(["pinecone.db"]);
  await cp(join(dir, "pinecone.db"), join(dir, "copy", "pinecone.db"));
  const copy = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir: join(dir, "copy") });
  const { body } = await ask(copy.url, "GET", "/i/kb/vectors/list");
  expect(body).toMatchObject({ vectors: [{ id: "a" }] });
  await copy.close();
});

it("is shared by processes that start at the same moment", async () => {
  const children = await Promise.all([1, 2, 3].map(() => startChild({ dir })));
  const [first] = children;
  await succeed(first?.url ?? "", "POST", "/indexes", index);
  await Promise.all(
    children.map(async ({ url }, writer) => {
      for (let i = 0; i < 20; i++) {
        await succeed(url, "POST", "/i/kb/vectors/upsert", {
          vectors: [{ id: `${writer}-${i}`, values: [1, 1] }],
        });
      }
    }),
  );
  for (const { url } of children) {
    const stats = await succeed(url, "POST", "/i/kb/describe_index_stats", {});
    expect(stats["totalVectorCount"]).toBe(60);
  }
  await Promise.all(
    children.map(async ({ child }) => {
      const exited = once(child, "exit");
      child.kill();
      await exited;
    }),
  );
});
