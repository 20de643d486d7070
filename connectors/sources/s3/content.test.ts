import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
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
