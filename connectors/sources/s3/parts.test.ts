import { describe, expect, it } from "vitest";
import { byBytes } from "./byte-order.ts";
import { config } from "./config.ts";
import { encodingsOf } from "./content.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { integrity } from "./integrity.ts";
import { pace } from "./pace.ts";
import { problems } from "./problems.ts";
import { refusalOf, unavailable } from "./refusal.ts";
import { select } from "./select.ts";
import { fakes } from "sluice/testing";

describe("the order of keys", () => {
  it("is that of their UTF-8 bytes", () => {
    const keys = [
      "",
      "a",
      "a/",
      "a/b",
      "aa",
      "b",
      "é",
      "\ud7ff",
      "\ue000",
      "\uffff",
      "😀",
      "😁",
      "￮😀",
    ];
    const bytewise = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
    expect(keys.toSorted(byBytes)).toEqual(keys.toSorted(bytewise));
    for (const a of keys)
      for (const b of keys) expect(Math.sign(byBytes(a, b))).toBe(bytewise(a, b));
  });
});

describe("select", () => {
  const all = { prefixes: [""], suffixes: [], include: ["**"], exclude: [] };
  it("wants every key that is text, unless told otherwise", () => {
    const { wants } = select(all);
    for (const key of ["a", "/a", "a//b", "../a", "./a", ".hidden/x", "a\nb", "dir/"])
      expect(wants(key), key).toBe(true);
    expect(wants("a\0b")).toBe(false);
  });
  it("lists no key twice: a prefix inside another is none of its own", () => {
    const { prefixes } = select({ ...all, prefixes: ["b", "a/b", "a/", "b", "a/c/"] });
    expect(prefixes).toEqual(["a/", "b"]);
  });
  it("excludes what lies below an excluded key", () => {
    const { wants } = select({ ...all, exclude: ["**/tmp"], suffixes: [".md", ".txt"] });
    expect(["a/tmp/b.md", "tmp/x.txt", "a/b.md", "a/b.pdf"].map(wants)).toEqual([
      false,
      false,
      true,
      false,
    ]);
  });
});

describe("a fingerprint", () => {
  const state = { etag: '"abc"', size: 1, modified: new Date("2026-01-01T00:00:00.900Z") };
  it("is the same for what a listing and a header say of one state", () => {
    const header = { ...state, etag: "abc", modified: new Date("2026-01-01T00:00:00.000Z") };
    expect(fingerprintOf("b", header)).toBe(fingerprintOf("b", state));
  });
  it("differs with the bucket, the content, the size and the second", () => {
    const others = [
      fingerprintOf("c", state),
      fingerprintOf("b", { ...state, etag: '"abd"' }),
      fingerprintOf("b", { ...state, size: 2 }),
      fingerprintOf("b", { ...state, modified: new Date("2026-01-01T00:00:01Z") }),
      fingerprintOf("b", state),
    ];
    expect(new Set(others).size).toBe(others.length);
  });
});

describe("integrity", () => {
  const [good, bad] = ["a".repeat(32), "b".repeat(32)];
  const answer = (etag: string, more: object = {}) => ({
    $metadata: {},
    ETag: `"${etag}"`,
    ...more,
  });
  it("compares the MD5 where the ETag is one", () => {
    const isIntact = integrity();
    expect(isIntact("k", good, answer(good))).toBe(true);
    expect(isIntact("k", bad, answer(good))).toBe(false);
    expect(isIntact("k", bad, answer(good))).toBe(false);
  });
  it("trusts the SDK's checksums, and ETags of parts and foreign keys to say nothing", () => {
    const isIntact = integrity();
    expect(isIntact("k", good, answer(good))).toBe(true);
    for (const other of [
      answer(good, { ChecksumCRC32: "AAAA" }),
      answer(good, { ServerSideEncryption: "aws:kms" }),
      answer(good, { SSECustomerAlgorithm: "AES256" }),
      answer(`${good}-2`),
    ])
      expect(isIntact("k", bad, other)).toBe(true);
  });
  it("learns that a store makes its ETags in another way", () => {
    const isIntact = integrity();
    expect(isIntact("k", bad, answer(good))).toBe(false);
    expect(isIntact("k", bad, answer(good))).toBe(true);
    expect(isIntact("other", bad, answer(good))).toBe(true);
  });
});

describe("encodings", () => {
  it("come off in the order in which they were put on", () => {
    expect(encodingsOf(undefined)).toEqual([]);
    expect(encodingsOf("aws-chunked")).toEqual([]);
    expect(encodingsOf("GZIP,aws-chunked")).toEqual(["gzip"]);
    expect(encodingsOf("deflate, br")).toEqual(["br", "deflate"]);
    expect(encodingsOf("zstd")).toBeUndefined();
    expect(encodingsOf("gzip, gzip, br")).toHaveLength(3);
    expect(encodingsOf("gzip, gzip, gzip, br")).toBeUndefined();
  });
});

describe("pace", () => {
  it("halves once for what was on its way together, and comes back", () => {
    const { atOnce, slower, succeeded } = pace(16);
    slower();
    slower();
    expect(atOnce()).toBe(8);
    for (let at = 0; at < 200; at++) succeeded();
    expect(atOnce()).toBe(16);
  });
});

describe("refusals", () => {
  const error = (name: string, httpStatusCode?: number, headers = {}) =>
    Object.assign(new Error("secret text of the other side"), {
      name,
      $metadata: { httpStatusCode },
      $response: { headers },
    });
  it.each([
    ["s3.bucket-missing", "refused", error("NoSuchBucket", 404)],
    ["s3.forbidden", "refused", error("AccessDenied", 403)],
    ["s3.unauthorized", "refused", error("SignatureDoesNotMatch", 403)],
    ["s3.unauthorized", "refused", error("Unknown", 401)],
    ["s3.no-credentials", "refused", error("CredentialsProviderError")],
    ["s3.refused", "refused", error("PermanentRedirect", 301)],
    ["s3.throttled", "throttled", error("SlowDown", 503)],
    ["s3.throttled", "throttled", error("Unknown", 429)],
    ["s3.unreachable", "unreachable", error("InternalError", 500)],
    ["s3.unreachable", "unreachable", error("Error", 502)],
    ["s3.unreachable", "unreachable", error("TimeoutError")],
    ["s3.queue-missing", "refused", error("QueueDoesNotExist", 400)],
    ["s3.no-region", "refused", new Error("Region is missing")],
  ])("become %s, %s", (code, reason, cause) => {
    const found = unavailable('bucket "b"', cause);
    expect(found).toMatchObject({ code, reason, cause });
    expect(found.message).not.toContain("secret");
  });
  it("say what the system says of a network", () => {
    const cause = Object.assign(new Error("connect"), { code: "ECONNREFUSED" });
    expect(unavailable("b", cause).message).toContain("(ECONNREFUSED)");
  });
  it.each(["s3://docs", "docs/handbook", "docs ", "ab", ""])("want no bucket %j", (bucket) => {
    expect(config.safeParse({ bucket }).success).toBe(false);
  });
  it.each(["localhost:9000", "ftp://x"])("want no endpoint %j", (endpoint) => {
    expect(config.safeParse({ bucket: "docs", endpoint }).success).toBe(false);
  });
  it("obey the wait that is asked for, within reason", () => {
    const asked = (seconds: string) =>
      unavailable("b", error("SlowDown", 503, { "retry-after": seconds }));
    expect(asked("7")).toMatchObject({ retryAfterMs: 7_000 });
    expect(asked("99999")).toMatchObject({ retryAfterMs: 300_000 });
    expect(asked("Wed, 21 Oct")).toMatchObject({ retryAfterMs: undefined });
  });
  it("do without a name or a status", () => {
    expect(refusalOf(new TypeError("x"))).toEqual({ name: "TypeError", status: undefined });
  });
});

describe("problems", () => {
  it("are told once each, and not endlessly", () => {
    const context = fakes.context({ config: {} });
    const { tell, forget } = problems(context);
    tell("denied", "a");
    tell("denied", "a");
    forget("a");
    tell("denied", "a");
    expect(context.lines).toHaveLength(2);
    for (let at = 0; at < 1_000; at++) tell("denied", `k${at}`);
    expect(context.lines.length).toBe(101);
    expect(context.counters.get("objects_skipped{reason=denied}")).toBe(1_002);
  });
});
