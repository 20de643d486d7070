import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, it } from "vitest";
import { testRedis } from "../../../test/redis-server.ts";
import { queueConformance } from "../conformance.ts";
import { openParty } from "./index.integration.test.child.ts";

let server: Awaited<ReturnType<typeof testRedis>>;
beforeAll(async () => void (server = await testRedis()));
afterAll(() => server.stop());

const project = `test-${randomUUID()}`;

describe("bullmq topics", () => {
  const suite = queueConformance({
    open: (options) => openParty({ url: server.url, project }, options),
    child: new URL("index.integration.test.child.js", import.meta.url),
    childArguments: () => [server.url, project],
  });
  for (const { name, run } of suite) it(name, run);
});
