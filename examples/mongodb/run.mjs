// Plays the life of some documents: a MongoDB of its own (or the one at MONGODB_URL, in a database that it makes and
// drops), the pipeline of sluice.json beside it, changes, and after each how long it takes until a search shows it.
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BSON, MongoClient } from "mongodb";
import { startMongod } from "../../dist/test/mongod.js";
import { observe, play } from "../play.mjs";
import { stepsOf } from "./steps.mjs";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

await play(async ({ signal, opens }) => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-example-"));
  opens(() => rm(folder, { recursive: true, force: true }));
  const config = join(folder, "sluice.json");
  await cp(here("sluice.json"), config);

  const own = process.env.MONGODB_URL === undefined ? await ownServer(opens) : undefined;
  const url = own?.url ?? process.env.MONGODB_URL;
  const client = new MongoClient(url, { appName: "sluice example" });
  opens(() => client.close());
  const name = `sluice_example_${randomBytes(4).toString("hex")}`;
  const database = client.db(name);
  opens(() => database.dropDatabase());
  for (const collection of ["recipes", "tips"]) {
    const text = await readFile(here(`${collection}.json`), "utf8");
    await database.collection(collection).insertMany(BSON.EJSON.parse(text));
  }
  console.log(
    "MongoDB holds 13 recipes, one of them a draft, and 3 tips. Starting the pipeline:\n",
  );

  const env = { ...process.env, MONGODB_URL: url, MONGODB_DATABASE: name };
  await observe(config, env, stepsOf({ client, database, own }), { signal, opens });
});

/** Three members, so that one may die. */
async function ownServer(opens) {
  execFileSync(process.execPath, [here("../../scripts/setup-mongod.mjs")], { stdio: "inherit" });
  const set = await startMongod({ members: 3 });
  opens(set.stop);
  return set;
}
