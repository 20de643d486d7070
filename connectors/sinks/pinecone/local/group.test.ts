import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openDatabase, type Database } from "./database.ts";
import { openGroup } from "./group.ts";

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

const add = (name: string) => () =>
  database.run(
    "INSERT INTO indexes (name, dimension, metric, settings) VALUES (?, 2, 'cosine', '{}')",
    [name],
  );
const names = () =>
  database.rows("SELECT name FROM indexes ORDER BY name").map((row) => row["name"]);

it("writes what is asked for at once in one transaction, and undoes what throws alone", async () => {
  let transactions = 0;
  const { write } = openGroup({
    ...database,
    transaction: (kind, work) => {
      transactions++;
      return database.transaction(kind, work);
    },
  });
  const ends = await Promise.allSettled([
    write(add("a")),
    write(() => {
      add("b")();
      throw new Error("refused");
    }),
    write(add("a")),
    write(add("c")),
  ]);
  expect(ends.map(({ status }) => status)).toEqual([
    "fulfilled",
    "rejected",
    "rejected",
    "fulfilled",
  ]);
  expect(names()).toEqual(["a", "c"]);
  expect(transactions).toBe(1);
  await write(add("d"));
  expect([transactions, names()]).toEqual([2, ["a", "c", "d"]]);
});

it("tells everyone when the transaction fails, and goes on with the next", async () => {
  let isFull = true;
  const { write } = openGroup({
    ...database,
    transaction: (kind, work) =>
      database.transaction(kind, () => {
        const result = work();
        if (isFull) throw new Error("database or disk is full");
        return result;
      }),
  });
  const ends = await Promise.allSettled([write(add("a")), write(add("b"))]);
  expect(ends.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(names()).toEqual([]);
  isFull = false;
  await write(add("a"));
  expect(names()).toEqual(["a"]);
});
