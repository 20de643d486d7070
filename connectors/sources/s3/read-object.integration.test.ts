import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { startMinistack } from "../../../test/s3-servers.ts";
import { openBucket, type Bucket } from "./bucket.ts";
import { config } from "./config.ts";
import { makeBucket, standBetween, type TestBucket } from "./harness.ts";
import { integrity } from "./integrity.ts";
import { readObject, type Wish } from "./read-object.ts";

const server = await startMinistack();
afterAll(() => server.stop());

const md5 = (text: string | Buffer) => createHash("md5").update(text).digest("hex");
const gzip = { ContentType: "text/plain", ContentEncoding: "gzip" };

describe("an object", () => {
  let place: TestBucket;
  let bucket: Bucket;
  const bodies: Readable[] = [];
  beforeEach(async () => {
    bodies.length = 0;
    place = await makeBucket(server);
    const real = await openBucket(config.parse(place.config));
    bucket = {
      ...real,
      get: async (...asked) => {
        const answer = await real.get(...asked);
        bodies.push(answer.Body as Readable); // in Node it is one
        return answer;
      },
    };
  });
  afterEach(() => {
    bucket.close();
    place.client.destroy();
  });
  const read = (more: Partial<Wish>) =>
    readObject(bucket, "a.txt", {
      listed: undefined,
      known: undefined,
      maxBytes: 2 ** 20,
      isIntact: integrity(),
      signal: new AbortController().signal,
      ...more,
    });
  /** There is no memory for it until `work` is done, the first time. */
  const once = (work: () => Promise<unknown>) => {
    let asked = 0;
    const room = () => (asked++ === 0 ? work().then(() => undefined) : undefined);
    return { room, asked: () => asked };
  };

  it("that waits for memory holds no connection meanwhile, and is asked for again", async () => {
    const text = "what it holds ".repeat(2_000);
    await place.put("a.txt", text);
    const { room } = once(async () => {
      await nextTurn();
      expect(bodies).toHaveLength(1);
      expect(bodies[0]?.destroyed).toBe(true);
    });
    expect(await read({ room })).toMatchObject({ kind: "content", object: { content: { text } } });
    expect(bodies).toHaveLength(2);
  });

  it("that is replaced while it waits is read as it is then, and is all of one state", async () => {
    const [old, young] = ["old ", "young "].map((word) => word.repeat(20_000));
    const packed = gzipSync(young ?? "");
    for (const isListed of [true, false])
      for (const isGone of [true, false]) {
        await place.put("a.txt", old ?? "");
        const listed = isListed
          ? await bucket.find("a.txt", { signal: new AbortController().signal })
          : undefined;
        const { room } = once(async () => {
          if (isGone) await place.remove("a.txt");
          else await place.put("a.txt", packed, gzip);
        });
        const reading = await read({ room, listed });
        const now = await bucket.find("a.txt", { signal: new AbortController().signal });
        if (isGone) expect(reading).toEqual({ kind: "none" });
        else
          expect(reading).toMatchObject({
            kind: "content",
            object: {
              fingerprint: now?.fingerprint,
              etag: md5(packed),
              size: packed.length,
              content: { text: young },
            },
          });
      }
  });

  it("that grew while it waits asks for as much as it is now", async () => {
    await place.put("a.txt", "x".repeat(20_000));
    const asked: number[] = [];
    const room = (bytes: number) => {
      asked.push(bytes);
      return asked.length === 1
        ? place.put("a.txt", "y".repeat(30_000)).then(() => undefined)
        : undefined;
    };
    expect(await read({ room })).toMatchObject({ object: { size: 30_000 } });
    expect(asked).toEqual([20_000, 30_000]);
  });

  it("that is small and packed is fetched once, however long it waits to be unpacked", async () => {
    await place.put("a.txt", gzipSync("small"), gzip);
    const { room, asked } = once(async () => {
      await place.remove("a.txt");
    });
    expect(await read({ room })).toMatchObject({ object: { content: { text: "small" } } });
    expect(bodies).toHaveLength(1);
    expect(asked()).toBe(1);
  });

  it("that is packed needs memory for all that it may become, and small and plain for none", async () => {
    const asked: number[] = [];
    const room = (bytes: number) => void asked.push(bytes);
    await place.put("a.txt", gzipSync("small"), gzip);
    await read({ room });
    await place.put("a.txt", "small");
    await read({ room });
    await place.put("a.txt", "x".repeat(100_000));
    await read({ room });
    expect(asked).toEqual([2 ** 20, 0, 100_000]);
  });

  it("of nothing is an empty text, whatever it is said to be packed in", async () => {
    await place.put("a.txt", "", gzip);
    expect(await read({})).toMatchObject({
      kind: "content",
      object: { content: { text: "" }, contentEncoding: undefined },
    });
  });

  it("that is packed twice and too large, or no text, is what it would be packed once", async () => {
    const twice = { ContentType: "text/plain", ContentEncoding: "gzip, gzip" };
    await place.put("a.txt", gzipSync(gzipSync(Buffer.alloc(6_000_000))), twice);
    expect(await read({})).toMatchObject({ kind: "too-large" });
    const latin = Buffer.from("naïve", "latin1");
    await place.put("a.txt", gzipSync(gzipSync(latin)), twice);
    const contentBase64 = latin.toString("base64");
    expect(await read({})).toMatchObject({
      object: { content: { contentBase64 }, contentEncoding: undefined },
    });
    await place.put("a.txt", gzipSync("no gzip"), twice);
    expect(await read({})).toMatchObject({ object: { contentEncoding: "gzip, gzip" } });
  });

  it("that is packed in something unknown, or again and again, stays as it lies there", async () => {
    const contentBase64 = gzipSync("packed").toString("base64");
    for (const ContentEncoding of ["zstd", "gzip, gzip, gzip, gzip"]) {
      await place.put("a.txt", gzipSync("packed"), { ContentType: "text/plain", ContentEncoding });
      expect(await read({})).toMatchObject({
        object: { content: { contentBase64 }, contentEncoding: ContentEncoding },
      });
    }
  });
});

it("pages go on behind the last key where a store gives no token", async () => {
  const place = await makeBucket(server);
  const between = await standBetween(server);
  const bucket = await openBucket(config.parse({ ...place.config, endpoint: between.endpoint }));
  try {
    // No server of ours leaves it out.
    const keys = ["a", "b", "c", "d", "e"];
    between.intercept = async ({ url = "" }) => {
      const after = new URL(url, "http://x").searchParams.get("start-after") ?? "";
      const left = keys.filter((key) => key > after);
      const contents = left.slice(0, 2).map((key) => `<Contents><Key>${key}</Key></Contents>`);
      const isCut = `<IsTruncated>${left.length > 2}</IsTruncated>`;
      return {
        status: 200,
        body: `<ListBucketResult>${isCut}${contents.join("")}</ListBucketResult>`,
      };
    };
    const seen: string[] = [];
    const { signal } = new AbortController();
    for await (const page of bucket.list({ prefix: "", after: "" }, { signal }))
      seen.push(...page.map(({ key }) => key));
    expect(seen).toEqual(keys);
  } finally {
    bucket.close();
    place.client.destroy();
    await between.close();
  }
});
