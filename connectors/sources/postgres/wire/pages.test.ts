import { describe, expect, it } from "vitest";
import { pages, type Pages } from "./pages.ts";

const int64 = (value: bigint) => {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64BE(value);
  return buffer;
};
const message = (type: string, body: Buffer) => {
  const head = Buffer.from(`${type}....`);
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
};
const wal = (payload: Buffer | string, end = 0n) =>
  message(
    "d",
    Buffer.concat([Buffer.from("w"), int64(1n), int64(end), int64(0n), Buffer.from(payload)]),
  );
const keepalive = (end: bigint, wantsAnswer: boolean) =>
  message(
    "d",
    Buffer.concat([Buffer.from("k"), int64(end), int64(0n), Buffer.of(wantsAnswer ? 1 : 0)]),
  );

function payloads(from: Pages): readonly string[] {
  const { bytes, offsets, count } = from.take();
  return Array.from({ length: count }, (_, i) =>
    bytes.toString("latin1", offsets[2 * i], offsets[2 * i + 1]),
  );
}

const ignore = { asked: () => {}, message: () => {} };

describe("pages", () => {
  it("finds the same pieces however the socket cuts them", () => {
    const texts = ["", "a", "b".repeat(300), "c".repeat(7)];
    const stream = Buffer.concat([
      ...texts.map((text) => wal(text)),
      keepalive(2n ** 40n, true),
      message("N", Buffer.from("notice")),
      wal("last", 2n ** 33n),
    ]);
    for (const size of [1, 2, 3, 5, 24, 31, 100, stream.length]) {
      const heard: unknown[] = [];
      const arrived = pages({
        asked: () => heard.push("asked"),
        message: (type, body) => heard.push(String.fromCharCode(type) + body.toString()),
      });
      const found: string[] = [];
      for (let at = 0; at < stream.length; at += size) {
        arrived.push(stream.subarray(at, at + size));
        if (at % 3 === 0) found.push(...payloads(arrived));
      }
      found.push(...payloads(arrived));
      expect(found).toEqual([...texts, "last"]);
      expect(heard).toEqual(["asked", "Nnotice"]);
      expect(arrived.serverEnd()).toBe(2n ** 40n);
      expect(arrived.size()).toBe(0);
    }
  });

  it("keeps a page as it is until the next one is taken", () => {
    const arrived = pages(ignore);
    arrived.push(wal("first"));
    const page = arrived.take();
    for (let i = 0; i < 1_000; i++) arrived.push(wal("x".repeat(100)));
    expect(page.bytes.toString("latin1", page.offsets[0], page.offsets[1])).toBe("first");
    expect(payloads(arrived)).toEqual(Array.from({ length: 1_000 }, () => "x".repeat(100)));
  });

  it("takes a piece far larger than a page, with small ones around it, and gives its memory up", () => {
    const arrived = pages(ignore);
    const large = Buffer.alloc(100 * 2 ** 20, "y");
    const stream = Buffer.concat([wal("before"), wal(large), wal("after")]);
    const found: number[] = [];
    let most = 0;
    for (let at = 0; at < stream.length; at += 65_536) {
      arrived.push(stream.subarray(at, at + 65_536));
      if (arrived.count() === 0) continue;
      const { bytes, offsets, count } = arrived.take();
      most = Math.max(most, bytes.length);
      for (let i = 0; i < count; i++) found.push((offsets[2 * i + 1] ?? 0) - (offsets[2 * i] ?? 0));
    }
    expect(found).toEqual([6, large.length, 5]);
    expect(most).toBeLessThan(large.length + 200_000);
    for (let i = 0; i < 2; i++) {
      arrived.push(wal("small"));
      expect(arrived.take().bytes.length).toBeLessThan(2 ** 21);
    }
  });

  it("carries a large piece over that has come in part", () => {
    const arrived = pages(ignore);
    const large = "z".repeat(5 * 2 ** 20);
    const stream = Buffer.concat([wal("before"), wal(large)]);
    arrived.push(stream.subarray(0, 3 * 2 ** 20));
    expect(payloads(arrived)).toEqual(["before"]);
    arrived.push(stream.subarray(3 * 2 ** 20));
    expect(payloads(arrived)).toEqual([large]);
  });

  it("does not grow by keepalives that nobody takes", () => {
    const arrived = pages(ignore);
    for (let i = 0; i < 100_000; i++) arrived.push(keepalive(1n, false));
    expect(arrived.size()).toBe(0);
  });

  it("refuses what is not the protocol", () => {
    for (const bytes of [
      message("d", Buffer.from("z")),
      message("d", Buffer.from("w too short")),
      message("d", Buffer.from("k")),
      message("d", Buffer.alloc(0)),
      Buffer.from([0x64, 0, 0, 0, 3]),
      Buffer.from("HTTP/1.1 400 Bad Request\r\n"),
    ])
      expect(() => pages(ignore).push(bytes), bytes.toString("latin1")).toThrow(
        /^postgres: the server sent/,
      );
  });
});
