import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { describe, expect, it, vi } from "vitest";
import { readContent, type Encoding } from "./content.ts";

const read = (
  packed: Buffer,
  encodings: readonly Encoding[],
  { maxBytes = 2 ** 20, mediaType = "text/plain", pieceBytes = 16_384 } = {},
) => {
  const pieces = function* () {
    for (let at = 0; at < packed.length; at += pieceBytes)
      yield packed.subarray(at, at + pieceBytes);
  };
  return readContent(Readable.from(pieces(), { objectMode: false }), {
    mediaType,
    encodings,
    maxBytes,
  });
};

describe("a body in two encodings", () => {
  const text = randomBytes(1_500_000).toString("hex");
  it.each([
    ["too-large", "gzip, gzip: a bomb", gzipSync(gzipSync(Buffer.alloc(3e7))), ["gzip", "gzip"]],
    ["too-large", "gzip, gzip", gzipSync(gzipSync(text)), ["gzip", "gzip"]],
    ["too-large", "gzip, br", brotliCompressSync(gzipSync(text)), ["br", "gzip"]],
    [
      "undecodable",
      "gzip, gzip: no text",
      gzipSync(gzipSync(randomBytes(900_000))),
      ["gzip", "gzip"],
    ],
    [
      "undecodable",
      "gzip, br: no text",
      brotliCompressSync(gzipSync(randomBytes(300_000))),
      ["br", "gzip"],
    ],
    ["undecodable", "gzip, gzip: the inner is none", gzipSync("no gzip"), ["gzip", "gzip"]],
    [
      "undecodable",
      "gzip, gzip: the inner is cut short",
      gzipSync(gzipSync(text).subarray(0, 300_000)),
      ["gzip", "gzip"],
    ],
    ["undecodable", "gzip, gzip: the outer is none", Buffer.from("no gzip"), ["gzip", "gzip"]],
  ] as const)("is %s: %s", async (kind, _name, packed, encodings) => {
    expect(await read(packed, encodings)).toMatchObject({ kind });
  });

  it("is unpacked to its text", async () => {
    const packed = brotliCompressSync(gzipSync("what it holds"));
    expect(await read(packed, ["br", "gzip"])).toMatchObject({ text: "what it holds" });
  });

  it("whose connection ends says so, and nothing of its content", async () => {
    const packed = gzipSync(gzipSync(text));
    const lost = Object.assign(new Error("aborted"), { code: "ECONNRESET" });
    for (const from of [0, 100, 500_000]) {
      const pieces = async function* () {
        yield packed.subarray(0, from);
        throw lost;
      };
      const body = Readable.from(pieces(), { objectMode: false });
      const as = { mediaType: "text/plain", encodings: ["gzip", "gzip"], maxBytes: 2 ** 24 };
      await expect(readContent(body, as as Parameters<typeof readContent>[1])).rejects.toBe(lost);
    }
  });
});

it("is too large where it would be between two encodings, though nothing comes out in the end", async () => {
  const nothing = gzipSync(Buffer.alloc(0));
  const members = gzipSync(Buffer.concat(Array<Buffer>(250_000).fill(nothing))); // 5 MB of them
  expect(await read(members, ["gzip", "gzip"])).toEqual({ kind: "too-large" });
  const thrice = ["gzip", "gzip", "gzip"] as const;
  expect(await read(gzipSync(members), thrice)).toEqual({ kind: "too-large" });
  expect(await read(gzipSync(gzipSync(nothing)), thrice)).toMatchObject({ text: "" });
});

describe("a body that comes slowly", () => {
  const bodyOf = async (bytes: number, minutes: number) => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    try {
      const body = new Readable({ read: () => {} });
      const as = { mediaType: "text/plain", encodings: [], maxBytes: 2 ** 24 };
      const reading = readContent(body, as);
      reading.catch(() => {}); // awaited below
      for (let minute = 0; minute < minutes; minute++) {
        body.push("x".repeat(bytes));
        await vi.waitFor(() => expect(body.readableLength).toBe(0), { interval: 1 });
        vi.advanceTimersByTime(60_000);
      }
      if (!body.destroyed) body.push(null);
      return await reading;
    } finally {
      vi.useRealTimers();
    }
  };
  it("is waited for while it comes on", async () => {
    expect(await bodyOf(64 * 1_024, 100)).toMatchObject({ kind: "text" });
  });
  it("is given up where it is a trickle", async () => {
    await expect(bodyOf(1_000, 3)).rejects.toMatchObject({ code: "s3.too-slow" });
  });
});
