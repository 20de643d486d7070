import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import type { RecordUpserted, SluiceEvent } from "sluice";
import { fakes } from "sluice/testing";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { startMinistack, startRadosgw } from "../../../test/s3-servers.ts";
import { heldBy, isHeldBy, makeBucket, standBetween, type TestBucket } from "./harness.ts";
import { s3 } from "./s3.ts";

/** Several pages of a listing; `SLUICE_KEYS=10000` takes a minute or two. */
const many = Number(process.env["SLUICE_KEYS"] ?? 2_500);

type Run = Awaited<ReturnType<typeof fakes.run>>;

const of = (events: readonly SluiceEvent[], key: string) =>
  events.filter(({ subject }) => subject === key);
/** What the first event of a key says of it. */
const dataOf = (events: readonly SluiceEvent[], key: string) =>
  of(events, key)[0]?.data as RecordUpserted["data"];

const waitFor = async (what: () => boolean) => {
  for (const deadline = performance.now() + 10_000; !what(); await sleep(10))
    if (performance.now() > deadline) throw new Error("waited in vain");
};

const inLanes = async <T>(values: readonly T[], work: (value: T) => Promise<unknown>) => {
  const left = values.values();
  const lane = async () => {
    for (const value of left) await work(value);
  };
  await Promise.all(Array.from({ length: 32 }, lane));
};

for (const start of [startMinistack, startRadosgw])
  describe(`s3, listing ${start.name.slice(5)}`, async () => {
    const server = await start();
    afterAll(() => server.stop());

    let bucket: TestBucket;
    const runs: Run[] = [];
    beforeEach(async () => {
      bucket = await makeBucket(server);
    });
    afterEach(async () => {
      for (const run of runs.splice(0)) await run.stop().catch(() => {});
      bucket.client.destroy();
    });
    const read = async (more: object = {}, place = fakes.state()) => {
      const config = { ...bucket.config, ...more };
      const run = await fakes.run(s3, { config, state: place, patienceMs: 30_000 });
      runs.push(run);
      return run;
    };
    const shows = (run: Run, expected: Record<string, string>) =>
      run.until(
        (events) => isHeldBy(events, expected),
        `the bucket to be ${JSON.stringify(expected).slice(0, 300)}`,
      );
    const swept = (run: Run) =>
      run.until(
        (events) => events.some(({ type }) => type === "dev.sluice.collection.cleared"),
        "the end of the first snapshot",
      );

    it("sees new, replaced and deleted objects, wherever their keys sort", async () => {
      await bucket.put("m", "1");
      const run = await read();
      await shows(run, { m: "1" });
      await bucket.put("z", "2");
      await bucket.put("a", "3");
      await shows(run, { m: "1", z: "2", a: "3" });
      await bucket.put("m", "4");
      await bucket.remove("z");
      await shows(run, { m: "4", a: "3" });
      expect(of(run.events, "m").map(({ type }) => type)).toHaveLength(2);
      expect(of(run.events, "z").at(-1)?.type).toBe("dev.sluice.record.deleted");
    });

    it("sees an object replaced by one of the same size within the same second", async () => {
      const run = await read();
      for (let at = 0; at < 10; at++) await bucket.put("a.txt", `text ${at}`);
      await shows(run, { "a.txt": "text 9" });
    });

    it("makes a delete and a create of a rename", async () => {
      await bucket.put("old name.txt", "x");
      const run = await read();
      await shows(run, { "old name.txt": "x" });
      const CopySource = `${bucket.name}/${encodeURIComponent("old name.txt")}`;
      await bucket.client.send(
        new CopyObjectCommand({ Bucket: bucket.name, Key: "new/name.txt", CopySource }),
      );
      await bucket.remove("old name.txt");
      await shows(run, { "new/name.txt": "x" });
    });

    it("reads objects that came in parts", async () => {
      const target = { Bucket: bucket.name, Key: "big.txt" };
      const { UploadId } = await bucket.client.send(
        new CreateMultipartUploadCommand({ ...target, ContentType: "text/plain" }),
      );
      const bodies = [Buffer.alloc(5 * 2 ** 20, "a"), Buffer.from("the end")];
      const Parts: { PartNumber: number; ETag: string | undefined }[] = [];
      for (const [at, Body] of bodies.entries()) {
        const part = { ...target, UploadId, PartNumber: at + 1, Body };
        const { ETag } = await bucket.client.send(new UploadPartCommand(part));
        Parts.push({ PartNumber: at + 1, ETag });
      }
      await bucket.client.send(
        new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } }),
      );
      const run = await read({ maxBytes: 6 * 2 ** 20 });
      await shows(run, { "big.txt": Buffer.concat(bodies).toString() });
      expect(dataOf(run.events, "big.txt").meta).toMatchObject({
        etag: expect.stringMatching(/-2$/),
      });
    });

    it("takes a delete marker for a delete and its removal for a come-back", async () => {
      await bucket.keepVersions();
      await bucket.put("a", "1");
      const { versionId } = await bucket.put("a", "2");
      const run = await read();
      await shows(run, { a: "2" });
      expect(dataOf(run.events, "a").meta).toMatchObject({ versionId });
      await bucket.remove("a");
      await shows(run, {});
      await bucket.put("a", "3");
      await shows(run, { a: "3" });
    });

    it("shows the version before when the newest is removed for good", async () => {
      await bucket.keepVersions();
      await bucket.put("a", "1");
      const { versionId } = await bucket.put("a", "2");
      const run = await read();
      await shows(run, { a: "2" });
      await bucket.remove("a", versionId);
      await shows(run, { a: "1" });
    });

    it(`keeps ${many} keys apart and in order, also when it is stopped on its way`, async () => {
      const keys = Array.from({ length: many }, (_, at) => `k/${(at * 7_919) % many}`);
      await inLanes(keys, (key) => bucket.put(key, key));
      const place = fakes.state();
      const first = await read({}, place);
      await first.until(({ length }) => length > 1_200, "a part of the snapshot");
      await first.stop();
      const second = await read({}, place);
      await swept(second);
      const all = heldBy([...first.events, ...second.events]);
      expect(all.size).toBe(many);
      expect([...all].every(([key, text]) => key === text)).toBe(true);
      // What the first run stored is not read again, but for what it was at.
      expect(second.events.length).toBeLessThan(many - first.events.length + 1_100);

      await second.stop();
      await inLanes(keys.slice(0, 300), (key) => bucket.remove(key));
      const third = await read({}, place);
      await third.until(({ length }) => length >= 300, "300 deletes");
      expect(new Set(third.events.map(({ subject }) => subject))).toEqual(
        new Set(keys.slice(0, 300)),
      );
    }, 600_000);

    it("reads keys of every kind under their own names", async () => {
      const keys = [
        "a b",
        "a+b",
        "a%20b",
        "%41",
        "100%",
        "日本/ü.txt",
        "e\u0301",
        "\u00e9",
        "😀",
        "\uffee",
        "a//b",
        "/lead",
        "./x",
        "../y",
        "  spaces  ",
        "n\nl",
        "x\u0001y",
        "<&>'\"",
        "back\\slash",
        "dir/",
        "dir/child",
        "k".repeat(1_000),
      ];
      for (const key of keys) await bucket.put(key, `of ${key}`);
      const expected = Object.fromEntries(keys.map((key) => [key, `of ${key}`]));
      const run = await read();
      await run.until((events) => heldBy(events).size === keys.length, "every key");
      for (const key of keys) {
        expect(dataOf(run.events, key).key).toEqual({ key });
        expect(heldBy(run.events).get(key)).toBe(expected[key]);
      }
      for (const key of keys) await bucket.remove(key);
      await shows(run, {});
    });

    it("takes empty objects for objects, and the console's folders for nothing", async () => {
      await bucket.put("empty.txt", "");
      await bucket.put("folder/", "");
      await bucket.put("odd/", "with content");
      const run = await read();
      await shows(run, {
        "empty.txt": "",
        "odd/": "with content",
      });
    });

    it("tells type and text as the object does, and falls back on its name", async () => {
      const latin = Buffer.from("naïve", "latin1");
      await bucket.put("a", "# Hi", { ContentType: "text/markdown; charset=utf-8" });
      await bucket.put("b.txt", latin, { ContentType: "text/plain; charset=iso-8859-1" });
      await bucket.put("c.md", "\ufeffnamed");
      await bucket.put("d.txt", latin, { ContentType: "text/plain" });
      await bucket.put("e.bin", "x", { Metadata: { author: "ada" } });
      const run = await read();
      await shows(run, {
        a: "# Hi",
        "b.txt": "naïve",
        "c.md": "named",
        "d.txt": latin.toString(),
        "e.bin": "x",
      });
      expect(dataOf(run.events, "a").after).toMatchObject({
        uri: `s3://${bucket.name}/a`,
        mediaType: "text/markdown; charset=utf-8",
        size: 4,
        etag: createHash("md5").update("# Hi").digest("hex"),
      });
      expect(dataOf(run.events, "c.md").after["mediaType"]).toBe("text/markdown");
      expect(dataOf(run.events, "e.bin").after["userMetadata"]).toEqual({ author: "ada" });
    });

    it("unpacks gzip, by header and by name, and passes on what only claims to be", async () => {
      const packed = gzipSync("packed");
      await bucket.put("a.txt", packed, { ContentEncoding: "gzip", ContentType: "text/plain" });
      await bucket.put("b.json.gz", gzipSync("{}"));
      await bucket.put("c.tar.gz", packed);
      await bucket.put("d.txt", "no gzip", { ContentEncoding: "gzip", ContentType: "text/plain" });
      await bucket.put("bomb.txt.gz", gzipSync(Buffer.alloc(50_000_000)));
      const run = await read({ maxBytes: 1_000_000 });
      await shows(run, {
        "a.txt": "packed",
        "b.json.gz": "{}",
        "c.tar.gz": packed.toString(),
        "d.txt": "no gzip",
      });
      expect(dataOf(run.events, "d.txt").after).toMatchObject({
        mediaType: "text/plain",
        contentEncoding: "gzip",
      });
      await run.until(() => run.counters.get("objects_skipped{reason=too-large}") === 1);
    });

    it("unpacks once what is too large when it is unpacked", async () => {
      await bucket.put("bomb.txt.gz", gzipSync(Buffer.alloc(5_000_000)));
      const between = await standBetween(server);
      try {
        const run = await read({ endpoint: between.endpoint, maxBytes: 100_000 });
        await swept(run);
        const listings = () => between.seen.filter(({ url }) => url?.includes("list-type")).length;
        await waitFor(() => listings() > 4);
        expect(between.seen.filter(({ url }) => url?.includes("bomb"))).toHaveLength(1);
        await bucket.put("bomb.txt.gz", gzipSync("defused"));
        await shows(run, { "bomb.txt.gz": "defused" });
      } finally {
        await between.close();
      }
    });

    it("takes an object that grows beyond `maxBytes` for gone, and back when it shrinks", async () => {
      await bucket.put("a.txt", "small");
      const run = await read({ maxBytes: 10 });
      await shows(run, { "a.txt": "small" });
      await bucket.put("a.txt", "larger than ten bytes");
      await shows(run, {});
      await bucket.put("a.txt", "shrunk");
      await shows(run, { "a.txt": "shrunk" });
    });

    it("reads what its patterns want, and deletes what they want no longer", async () => {
      for (const key of ["docs/a.md", "docs/b.txt", "docs/old/c.md", "img/d.png", "docs2/e.md"])
        await bucket.put(key, "x");
      const place = fakes.state();
      const wide = { prefixes: ["docs/", "docs/old/"], suffixes: [".md"] };
      const first = await read(wide, place);
      await shows(first, { "docs/a.md": "x", "docs/old/c.md": "x" });
      await swept(first);
      await first.stop();
      const second = await read({ ...wide, exclude: ["**/old"] }, place);
      await second.until(({ length }) => length > 0, "a delete");
      expect(second.events).toMatchObject([
        { type: "dev.sluice.record.deleted", subject: "docs/old/c.md" },
      ]);
    });

    it("keeps what it may not read any more, and deletes it once it is gone", async () => {
      await bucket.put("open.txt", "1");
      await bucket.put("secret.txt", "1");
      const run = await read();
      await shows(run, { "open.txt": "1", "secret.txt": "1" });
      await bucket.forbid("secret.txt");
      await bucket.put("secret.txt", "2");
      await bucket.put("open.txt", "2");
      await shows(run, { "open.txt": "2", "secret.txt": "1" });
      await run.until(
        () => run.counters.get("objects_skipped{reason=denied}") === 1,
        "the denied object to be told of",
      );
      await run.request({ id: "now" });
      await run.until((events) => of(events, "open.txt").length === 3, "a snapshot");
      expect(heldBy(run.events).get("secret.txt")).toBe("1");
      await bucket.remove("secret.txt");
      await shows(run, { "open.txt": "2" });
    });

    it("believes no page of HTML, whether it stands for a listing or for an object", async () => {
      await bucket.put("a.txt", "1");
      const between = await standBetween(server);
      try {
        const place = fakes.state();
        const first = await read({ endpoint: between.endpoint }, place);
        await swept(first);
        await first.stop();
        await bucket.put("a.txt", "2");
        for (const hidden of [/list-type/, /a\.txt/]) {
          between.intercept = async ({ url = "" }) =>
            hidden.test(url)
              ? { status: 200, body: "<html><body>Log in</body></html>" }
              : undefined;
          const config = { ...bucket.config, endpoint: between.endpoint };
          const run = await fakes.run(s3, { config, state: place });
          await run.request({ id: "now" });
          await expect(run.ended).rejects.toMatchObject({ code: "s3.unreachable" });
          expect(run.events).toEqual([]);
        }
        between.intercept = async () => undefined;
        await shows(await read({ endpoint: between.endpoint }, place), { "a.txt": "2" });
      } finally {
        await between.close();
      }
    });

    it("refuses a snapshot of what a bucket does not have, and takes the next", async () => {
      await bucket.put("a/1.txt", "x");
      const run = await read();
      await swept(run);
      await run.request({ id: "1", collections: ["a/"] });
      await run.request({ id: "2" });
      await run.until((events) => of(events, "a/1.txt").length === 2, "the second request");
      await waitFor(() => run.batches.some(({ completes }) => completes?.includes("2") ?? false));
      expect(await run.pending()).toEqual([]);
      expect(of(run.events, "a/1.txt")).toHaveLength(2);
    });

    it("deletes nothing while the bucket is not there", async () => {
      await bucket.put("a", "1");
      const place = fakes.state();
      const first = await read({}, place);
      await swept(first);
      await first.stop();
      for (const [more, code] of [
        [{ bucket: `${bucket.name}-absent` }, "s3.bucket-missing"],
        [{ secretAccessKey: "wrong" }, "s3.unauthorized"],
        [{ accessKeyId: "nobody" }, "s3.unauthorized"],
        [{ endpoint: "http://127.0.0.1:9" }, "s3.unreachable"],
      ] as const) {
        const run = await fakes.run(s3, { config: { ...bucket.config, ...more }, state: place });
        await expect(run.ended).rejects.toMatchObject({ code });
        expect(run.events).toEqual([]);
      }
    });

    it("reads what is there now when an object is replaced after it was listed", async () => {
      await bucket.put("a.txt", "old");
      const between = await standBetween(server);
      try {
        let gets = 0;
        between.intercept = async ({ url = "" }) => {
          if (url.includes("a.txt") && gets++ === 0) await bucket.put("a.txt", "new");
          return undefined;
        };
        const run = await read({ endpoint: between.endpoint });
        await shows(run, { "a.txt": "new" });
        await swept(run);
        expect(of(run.events, "a.txt")).toHaveLength(1);
        expect(gets).toBe(2); // the first one was told 412
      } finally {
        await between.close();
      }
    });

    it("never mixes two states of an object that is replaced while it is read", async () => {
      const [old, young] = ["o".repeat(8_000_000), "y".repeat(8_000_000)];
      await bucket.put("a.txt", old);
      const between = await standBetween(server);
      try {
        let isReplaced = false;
        between.midway = async ({ url = "" }) => {
          if (!url.includes("a.txt") || isReplaced) return;
          isReplaced = true;
          await bucket.put("a.txt", young);
        };
        const run = await read({ endpoint: between.endpoint, maxBytes: 10_000_000 });
        await shows(run, { "a.txt": young });
        expect(isReplaced).toBe(true);
        const texts = of(run.events, "a.txt").map(
          ({ data }) => (data as RecordUpserted["data"]).after["text"],
        );
        expect(texts.every((text) => text === old || text === young)).toBe(true);
      } finally {
        await between.close();
      }
    });

    it("notices a body that was damaged on its way, and reads it again", async () => {
      await bucket.put("a.txt", "intact");
      await bucket.put("b.txt", "other");
      const between = await standBetween(server);
      try {
        let damaged = 0;
        between.alter = ({ url = "" }, chunk) => {
          if (!url.includes("a.txt") || damaged++ > 0) return chunk;
          return Buffer.from("hacked");
        };
        const run = await read({ endpoint: between.endpoint });
        await shows(run, { "a.txt": "intact", "b.txt": "other" });
        expect(damaged).toBe(2);
      } finally {
        await between.close();
      }
    });

    it("goes on more slowly when it is told to slow down", async () => {
      const keys = Array.from({ length: 40 }, (_, at) => `${at}.txt`);
      for (const key of keys) await bucket.put(key, "x");
      const between = await standBetween(server);
      try {
        // More often than the SDK itself tries.
        const refusals = { "list-type": 4, "/3.txt": 7 };
        const body = "<Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>";
        between.intercept = async ({ url = "" }) => {
          for (const part of ["list-type", "/3.txt"] as const)
            if (url.includes(part) && refusals[part]-- > 0) return { status: 503, body };
          return undefined;
        };
        const run = await read({ endpoint: between.endpoint });
        await swept(run);
        expect(heldBy(run.events).size).toBe(40);
        expect(refusals["list-type"]).toBeLessThan(0);
        expect(refusals["/3.txt"]).toBeLessThan(0);
      } finally {
        await between.close();
      }
    });

    it("gives up on one object that fails, for now, but not on all when all fail", async () => {
      for (const key of ["bad.txt", "good.txt"]) await bucket.put(key, "x");
      const between = await standBetween(server);
      try {
        let failing = /bad/;
        between.intercept = async ({ url = "" }) =>
          failing.test(url) ? { status: 500, body: "<html>oops</html>" } : undefined;
        const place = fakes.state();
        const run = await read({ endpoint: between.endpoint }, place);
        // Others must succeed meanwhile.
        const busy = setInterval(() => void bucket.put("good.txt", String(Math.random())), 100);
        try {
          await run.until(
            () => run.counters.get("objects_skipped{reason=unreadable}") === 1,
            "the failing object to be told of",
          );
        } finally {
          clearInterval(busy);
        }
        expect(heldBy(run.events).has("bad.txt")).toBe(false);
        failing = /never/;
        await run.until((events) => heldBy(events).get("bad.txt") === "x", "the mended object");
        await run.stop();

        failing = /txt/;
        await bucket.put("good.txt", "changed");
        const config = { ...bucket.config, endpoint: between.endpoint };
        const outage = await fakes.run(s3, { config, state: place });
        await expect(outage.ended).rejects.toMatchObject({ code: "s3.unreachable" });
      } finally {
        await between.close();
      }
    }, 60_000);

    it("signs by the server's clock when this machine's is wrong", async () => {
      await bucket.put("a.txt", "x");
      const real = Date.now;
      try {
        Date.now = () => real() + 3_600_000;
        const run = await read();
        await shows(run, { "a.txt": "x" });
        await run.stop();
      } finally {
        Date.now = real;
      }
    });

    it("says that it will pay, where it may", async () => {
      await bucket.put("a.txt", "x");
      const between = await standBetween(server);
      try {
        const run = await read({ endpoint: between.endpoint, requesterPays: true });
        await shows(run, { "a.txt": "x" });
        expect(between.seen.length).toBeGreaterThan(1);
        for (const { headers } of between.seen)
          expect(headers["x-amz-request-payer"]).toBe("requester");
      } finally {
        await between.close();
      }
    });

    it("stops within a second of an abort while the server hangs", async () => {
      await bucket.put("a.txt", "x");
      const run = await read();
      await swept(run);
      server.signal("SIGSTOP");
      try {
        const asked = run.progress.length;
        await waitFor(() => run.progress.length > asked);
        expect(await run.stop()).toBeLessThan(1_000);
      } finally {
        server.signal("SIGCONT");
      }
    });

    it("checks whether it may list and read", async () => {
      await bucket.put("a.txt", "x");
      const codes = async (more: object = {}) => {
        const config = s3.config.parse({ ...bucket.config, ...more });
        const findings = (await s3.check?.(fakes.context({ config }))) ?? [];
        return findings.map(({ severity, code }) => `${severity} ${code}`);
      };
      expect(await codes()).toEqual(["ok s3.bucket"]);
      expect(await codes({ bucket: "absent-bucket" })).toEqual(["error s3.bucket-missing"]);
      expect(await codes({ prefixes: ["/a"] })).toEqual(["warning s3.nothing-wanted"]);
      expect(await codes({ prefixes: ["/a", "a"] })).toEqual(["ok s3.bucket"]);
      await bucket.forbid("*");
      expect(await codes()).toEqual(["error s3.forbidden"]);
    });
  });
