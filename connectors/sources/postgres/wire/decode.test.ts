import { describe, expect, it } from "vitest";
import { SluiceError } from "sluice";
import { decode, type Message } from "./decode.ts";

const int = (bytes: 1 | 2 | 4 | 8, value: number | bigint) => {
  const buffer = Buffer.alloc(bytes);
  if (bytes === 8) buffer.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)));
  else buffer.writeUIntBE(Number(BigInt.asUintN(8 * bytes, BigInt(value))), 0, bytes);
  return buffer;
};
const name = (text: string) => Buffer.from(`${text}\0`);
const tuple = (...values: readonly (string | null | undefined)[]) =>
  Buffer.concat([
    int(2, values.length),
    ...values.map((value) => {
      if (value === null) return Buffer.from("n");
      if (value === undefined) return Buffer.from("u");
      return Buffer.concat([
        Buffer.from("t"),
        int(4, Buffer.byteLength(value)),
        Buffer.from(value),
      ]);
    }),
  ]);
const payload = (tag: string, ...parts: readonly (Buffer | string)[]) =>
  Buffer.concat(
    [tag, ...parts].map((part) => (typeof part === "string" ? Buffer.from(part) : part)),
  );

const oid = 4_294_967_295;
const row = ["1", "ñ ✓ 🎉", null, undefined, "", "a longer text of ASCII", "é"] as const;
const columns = [
  { name: "id", type: 23, typmod: -1, isIdentity: true },
  { name: "Näme", type: oid, typmod: 14, isIdentity: false },
];

const samples: readonly (readonly [Buffer, Message])[] = [
  [
    payload("B", int(8, 2n ** 64n - 1n), int(8, -1), int(4, 7)),
    { kind: "begin", commitLsn: 2n ** 64n - 1n, time: -1n, xid: 7 },
  ],
  [
    payload("C", int(1, 0), int(8, 0x16_b374_d848n), int(8, 5), int(8, 9)),
    { kind: "commit", commitLsn: 0x16_b374_d848n, endLsn: 5n, time: 9n },
  ],
  [payload("O", int(8, 1), name("node a")), { kind: "origin", name: "node a" }],
  [
    payload(
      "R",
      int(4, oid),
      name("public"),
      name("t"),
      "i",
      int(2, 2),
      ...columns.flatMap((column) => [
        int(1, column.isIdentity ? 1 : 0),
        name(column.name),
        int(4, column.type),
        int(4, column.typmod),
      ]),
    ),
    { kind: "relation", oid, schema: "public", name: "t", identity: "i", columns },
  ],
  [
    payload("R", int(4, 1), name(""), name("t"), "d", int(2, 0)),
    { kind: "relation", oid: 1, schema: "pg_catalog", name: "t", identity: "d", columns: [] },
  ],
  [
    payload("Y", int(4, 5), name("public"), name("mood")),
    { kind: "type", oid: 5, schema: "public", name: "mood" },
  ],
  [payload("I", int(4, oid), "N", tuple(...row)), { kind: "insert", relation: oid, row }],
  [payload("U", int(4, 1), "N", tuple("1")), { kind: "update", relation: 1, row: ["1"] }],
  [
    payload("U", int(4, 1), "K", tuple("1", null), "N", tuple("2", "b")),
    { kind: "update", relation: 1, old: { kind: "key", row: ["1", null] }, row: ["2", "b"] },
  ],
  [
    payload("U", int(4, 1), "O", tuple("1", "a"), "N", tuple("1", undefined)),
    { kind: "update", relation: 1, old: { kind: "full", row: ["1", "a"] }, row: ["1", undefined] },
  ],
  [
    payload("D", int(4, 1), "K", tuple("1", null)),
    { kind: "delete", relation: 1, old: { kind: "key", row: ["1", null] } },
  ],
  [
    payload("D", int(4, 1), "O", tuple("1", "a")),
    { kind: "delete", relation: 1, old: { kind: "full", row: ["1", "a"] } },
  ],
  [
    payload("T", int(4, 2), int(1, 3), int(4, 8), int(4, oid)),
    { kind: "truncate", relations: [8, oid], cascade: true },
  ],
  [
    payload("T", int(4, 1), int(1, 2), int(4, 8)),
    { kind: "truncate", relations: [8], cascade: false },
  ],
  [
    payload("M", int(1, 1), int(8, 6), name("sluice:a"), int(4, 3), "a\0b"),
    {
      kind: "message",
      transactional: true,
      lsn: 6n,
      prefix: "sluice:a",
      content: Buffer.from("a\0b"),
    },
  ],
];

/** What decoding gives, with other bytes before and after: they must not matter. */
function outcome(bytes: Buffer, around: number): unknown {
  const page = Buffer.concat([Buffer.alloc(9, around), bytes, Buffer.alloc(300, around)]);
  try {
    return decode(page, 9, 9 + bytes.length);
  } catch (error) {
    expect(error).toBeInstanceOf(SluiceError);
    return (error as SluiceError).message;
  }
}

describe("decode", () => {
  it.each(samples.map(([bytes, message]) => [message.kind, bytes, message] as const))(
    "reads %s",
    (_, bytes, message) => {
      expect(outcome(bytes, 0)).toEqual(message);
      expect(outcome(bytes, 0xff)).toEqual(message);
    },
  );

  it("copies what it returns", () => {
    for (const [bytes, message] of samples) {
      const page = Buffer.from(bytes);
      const decoded = decode(page, 0, page.length);
      page.fill(0x2a);
      expect(decoded).toEqual(message);
    }
  });

  it("hands tags of later versions through", () => {
    expect(outcome(payload("S", int(4, 1)), 0)).toEqual({ kind: "unknown", tag: "S" });
  });

  it("refuses a message that is cut off anywhere, and one with more than it should have", () => {
    for (const [bytes] of samples) {
      for (let length = 0; length < bytes.length; length++)
        expect(outcome(bytes.subarray(0, length), 0x61)).toMatch(/^postgres: the server sent/);
      expect(outcome(Buffer.concat([bytes, Buffer.from("x")]), 0)).toMatch(/1 bytes too many/);
    }
  });

  it("gives for garbled bytes a message or a clear error, in no time and from the message alone", () => {
    let seed = 1;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    const began = performance.now();
    let refused = 0;
    for (let i = 0; i < 20_000; i++) {
      const bytes = Buffer.from(samples[random(samples.length)]?.[0] ?? []);
      for (let flips = 1 + random(3); flips > 0; flips--) bytes[random(bytes.length)] = random(256);
      const result = outcome(bytes, 0);
      expect(outcome(bytes, 0x74)).toEqual(result);
      if (typeof result === "string") refused += 1;
    }
    expect(refused).toBeGreaterThan(1_000);
    expect(performance.now() - began).toBeLessThan(20_000);
  });

  it("makes no string of a value that no limit lets through", () => {
    const length = 2 ** 27 + 100;
    const head = payload("I", int(4, 1), "N", int(2, 2), "t", int(4, length));
    const page = Buffer.alloc(head.length + length + 1, "x");
    head.copy(page);
    page.write("n", page.length - 1);
    const message = decode(page, 0, page.length);
    if (message.kind !== "insert") throw new Error(message.kind);
    expect(message.row[0]).toHaveLength(2 ** 27 + 16);
    expect(message.row[1]).toBeNull();
  });
});
