import { sourceConformance } from "sluice/testing";
import { afterAll, describe, it } from "vitest";
import { startRadosgw } from "../../../test/s3-servers.ts";
import { makeBucket, standBetween, type Between } from "./harness.ts";
import { s3 } from "./s3.ts";

// What servers differ in is in bucket.integration.test.ts.

const server = await startRadosgw();
const bucket = await makeBucket(server);
const between = await standBetween(server);
const origin = {
  put: async (key: string, text: string) => {
    await bucket.put(`${key}.md`, text);
    return `${key}.md`;
  },
  remove: (key: string) => bucket.remove(`${key}.md`),
};
describe("s3 keeps what a source must:", () => {
  afterAll(async () => {
    await between.close();
    await server.stop();
  });
  const config = { ...bucket.config, endpoint: between.endpoint };
  const module = new URL("./s3.js", import.meta.url);
  const well: Between["intercept"] = async () => undefined;
  const outage = {
    begin: () => void (between.intercept = async () => ({ status: 503, body: "" })),
    end: () => void (between.intercept = well),
  };
  let answer = () => {};
  const stall = {
    begin: () => {
      const answered = new Promise<void>((resolve) => (answer = resolve));
      between.intercept = () => answered.then(() => undefined);
    },
    end: () => {
      between.intercept = well;
      answer();
    },
  };
  const given = { source: s3, config, origin, module, outage, stall, many: 120 };
  for (const { name, run } of sourceConformance(given)) it(name, run, 60_000);
});
