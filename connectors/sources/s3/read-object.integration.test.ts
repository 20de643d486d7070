import { once } from "node:events";
import type { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import { afterAll, expect, it } from "vitest";
import { startMinistack } from "../../../test/s3-servers.ts";
import { openBucket, type Bucket } from "./bucket.ts";
import { config } from "./config.ts";
import { makeBucket } from "./harness.ts";
import { integrity } from "./integrity.ts";
import { readObject } from "./read-object.ts";

const server = await startMinistack();
afterAll(() => server.stop());

it("a packed object whose connection ends while it waits for memory is fetched again", async () => {
  const place = await makeBucket(server);
  await place.put("a.txt", gzipSync("what it holds"), {
    ContentType: "text/plain",
    ContentEncoding: "gzip",
  });
  const bucket = await openBucket(config.parse(place.config));
  try {
    const bodies: Readable[] = [];
    const watched: Bucket = {
      ...bucket,
      get: async (...asked) => {
        const answer = await bucket.get(...asked);
        bodies.push(answer.Body as Readable); // in Node it is one
        return answer;
      },
    };
    const reading = await readObject(watched, "a.txt", {
      listed: undefined,
      known: undefined,
      maxBytes: 2 ** 20,
      isIntact: integrity(),
      signal: new AbortController().signal,
      // As a socket does that was idle for too long: nobody reads the body then.
      unpack: async (work) => {
        const [body] = bodies;
        body?.destroy(new Error("request socket timed out"));
        if (body && !body.closed) await once(body, "close");
        return work(true);
      },
    });
    expect(reading).toMatchObject({
      kind: "content",
      object: { content: { text: "what it holds" } },
    });
    expect(bodies).toHaveLength(2);
    for (const body of bodies) expect(body.destroyed).toBe(true);
  } finally {
    bucket.close();
    place.client.destroy();
  }
});
