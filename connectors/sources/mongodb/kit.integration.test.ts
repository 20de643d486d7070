import { sourceConformance } from "sluice/testing";
import { afterAll, describe, it } from "vitest";
import { startMongod } from "../../../test/mongod.ts";
import { mongodb } from "./mongodb.ts";

const set = await startMongod();
afterAll(() => set.stop());

describe("mongodb keeps what a source must:", () => {
  const texts = set.client().db("kit").collection<{ _id: string; text: string }>("texts");
  const origin = {
    put: async (key: string, text: string) => {
      await texts.replaceOne({ _id: key }, { text }, { upsert: true });
      return JSON.stringify(key);
    },
    remove: async (key: string) => void (await texts.deleteOne({ _id: key })),
  };
  const config = { url: set.url, collections: ["kit.texts"] };
  const module = new URL("./mongodb.js", import.meta.url);
  const sent = (signal?: NodeJS.Signals) => async () => {
    for (const member of set.members) await member.kill(signal);
  };
  const outage = {
    begin: sent(),
    end: async () => {
      for (const member of set.members) await member.start();
      await set.primary();
    },
  };
  const stall = { begin: sent("SIGSTOP"), end: sent("SIGCONT") };
  const given = { source: mongodb, config, origin, module, outage, stall, many: 300 };
  for (const { name, run } of sourceConformance(given)) it(name, run, 60_000);
});
