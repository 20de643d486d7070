import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openApi, type Ask } from "./api.ts";
import { openDatabase, type Database } from "./database.ts";
import { routeOf } from "./routes.ts";
import { standardSettings } from "./settings.ts";

let dir: string;
let database: Database;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "pinecone-"));
  database = openDatabase(dir, { readOnly: false });
});
afterEach(async () => {
  database.close();
  await rm(dir, { recursive: true });
});

it("stores no records of an index that is deleted while their texts are embedded", async () => {
  let embedded: () => void = () => {};
  const embedding = new Promise<void>((done) => (embedded = done));
  const api = openApi({
    database,
    readOnly: false,
    maxBytes: 2 ** 20,
    model: {
      embed: async () => {
        await embedding;
        return { vectors: [new Float32Array(384).fill(1)], tokens: 1 };
      },
      close: async () => {},
    },
  });
  const ask = async (method: string, path: string, given: Partial<Ask>) => {
    const routed = routeOf(method, path);
    if (routed === undefined) throw new Error(`${method} ${path} is no call`);
    const query = new URLSearchParams();
    const whole = { query, body: undefined, text: "", address: "", ...given };
    return api.answer(routed, whole, standardSettings);
  };
  const embed = { model: "all-minilm-l6-v2", field_map: { text: "t" } };
  const body = { name: "words", cloud: "aws", region: "x", embed };
  await ask("POST", "/indexes/create-for-model", { body });
  const upserting = ask("POST", "/i/words/records/namespaces/ns/upsert", {
    text: '{"_id":"a","t":"text"}',
  });
  await ask("DELETE", "/indexes/words", {});
  embedded();
  await expect(upserting).rejects.toMatchObject({ status: 404, message: "Index words not found" });
  expect(database.rows("SELECT * FROM namespaces")).toEqual([]);
});
