import { sourceConformance } from "sluice/testing";
import { afterAll, describe, it } from "vitest";
import { startMinistack, startRadosgw } from "../../../test/s3-servers.ts";
import { makeBucket } from "./harness.ts";
import { s3 } from "./s3.ts";

for (const start of [startMinistack, startRadosgw]) {
  const server = await start();
  const bucket = await makeBucket(server);
  const origin = {
    put: async (key: string, text: string) => {
      await bucket.put(`${key}.md`, text);
      return `${key}.md`;
    },
    remove: (key: string) => bucket.remove(`${key}.md`),
  };
  describe(`s3, ${start.name}, keeps what a source must:`, () => {
    afterAll(() => server.stop());
    const { config } = bucket;
    const module = new URL("./s3.js", import.meta.url);
    for (const { name, run } of sourceConformance({ source: s3, config, origin, module }))
      it(name, run, 60_000);
  });
}
