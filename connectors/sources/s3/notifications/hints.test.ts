import { describe, expect, it } from "vitest";
import { hintsOf } from "./hints.ts";
import { sequencers } from "./sequencers.ts";

const as = { bucket: "b", keys: "auto" } as const;

function body(eventSource: string, eventName: string, object: object): string {
  const record = { eventName, eventSource, eventTime: "2026-11-25T06:39:43.781Z" };
  return JSON.stringify({ Records: [{ ...record, s3: { bucket: { name: "b" }, object } }] });
}

// The key that each store was given: `in/a b+c%20ü/日.txt`. What each wrote was recorded.
const key = "in/a b+c%20ü/日.txt";
const puts = [
  ["ministack", "aws:s3", "ObjectCreated:Put", "in/a+b%2Bc%2520%C3%BC/%E6%97%A5.txt"],
  ["localemu", "aws:s3", "ObjectCreated:Put", "in/a%20b%2Bc%2520%C3%BC/%E6%97%A5.txt"],
  ["moto", "aws:s3", "ObjectCreated:Put", "in%2Fa+b%2Bc%2520%C3%BC%2F%E6%97%A5.txt"],
  ["minio", "minio:s3", "s3:ObjectCreated:Put", "in%2Fa+b%2Bc%2520%C3%BC%2F%E6%97%A5.txt"],
  ["versitygw", "aws:s3", "s3:ObjectCreated:Put", key],
  ["radosgw", "ceph:s3", "ObjectCreated:Put", key],
] as const;

describe("hints", () => {
  it.each(puts)("name the key as %s writes it", (_store, source, name, written) => {
    const told = hintsOf(body(source, name, { key: written, size: 5 }), as);
    expect(told).toEqual({ kind: "hints", hints: [{ key, size: 5 }] });
  });

  it.each([0, -1, 1.5, null])("take a size of %s for one that nobody knows", (size) => {
    const told = hintsOf(body("aws:s3", "ObjectCreated:Copy", { key: "k", size }), as);
    expect(told).toEqual({ kind: "hints", hints: [{ key: "k" }] });
  });

  it.each([
    ["aws:s3", "ObjectRemoved:Delete"],
    ["aws:s3", "ObjectRemoved:DeleteMarkerCreated"],
    ["minio:s3", "s3:ObjectRemoved:Delete"],
    ["aws:s3", "LifecycleExpiration:DeleteMarkerCreated"],
  ])("say when %s tells of a removal by %s", (source, name) => {
    const object = { key: "v", size: null, eTag: null, versionId: null };
    expect(hintsOf(body(source, name, object), as)).toEqual({
      kind: "hints",
      hints: [{ key: "v", removedAt: "2026-11-25T06:39:43.781Z" }],
    });
  });

  it("take a key as it is where told so, and where it cannot be encoded", () => {
    const raw = { bucket: "b", keys: "raw" } as const;
    const keyOf = (source: string, given: string, how: typeof as | typeof raw = as) => {
      const told = hintsOf(body(source, "ObjectCreated:Put", { key: given }), how);
      return told.kind === "hints" ? told.hints[0]?.key : told.kind;
    };
    expect(keyOf("aws:s3", "a+b%20c")).toBe("a b c");
    expect(keyOf("aws:s3", "a+b%20c", raw)).toBe("a+b%20c");
    expect(keyOf("ceph:s3", "a+b%20c")).toBe("a+b%20c");
    expect(keyOf("aws:s3", "100%")).toBe("100%");
  });

  it("trust a sequencer only where AWS's order can be meant", () => {
    const of = (source: string, sequencer: string | null) =>
      hintsOf(body(source, "ObjectCreated:Put", { key: "k", sequencer }), as);
    expect(of("aws:s3", "00000661141723EF8C")).toMatchObject({
      hints: [{ sequencer: "00000661141723EF8C" }],
    });
    for (const told of [of("aws:s3", "CE"), of("aws:s3", null), of("ceph:s3", "767F066B85084D2F")])
      expect(told).toEqual({ kind: "hints", hints: [{ key: "k" }] });
  });

  it("are found inside of what SNS and EventBridge make of them", () => {
    const inner = body("aws:s3", "ObjectCreated:Put", { key: "a+b" });
    const bridged = JSON.stringify({
      source: "aws.s3",
      "detail-type": "Object Deleted",
      time: "2026-11-25T06:39:43Z",
      detail: { bucket: { name: "b" }, object: { key: "a+b" } },
    });
    const wrapped = (Message: string) => JSON.stringify({ Type: "Notification", Message });
    expect(hintsOf(wrapped(inner), as)).toMatchObject({ hints: [{ key: "a b" }] });
    for (const text of [bridged, wrapped(bridged)])
      expect(hintsOf(text, as)).toEqual({
        kind: "hints",
        hints: [{ key: "a+b", removedAt: "2026-11-25T06:39:43.000Z" }],
      });
    const test = JSON.stringify({ Service: "Amazon S3", Event: "s3:TestEvent", Bucket: "b" });
    expect(hintsOf(test, as)).toEqual({ kind: "test" });
    expect(hintsOf(wrapped(test), as)).toEqual({ kind: "test" });
  });
});

describe("sequencers", () => {
  it("know what a look has already seen, key by key", () => {
    const { isOld, looked } = sequencers();
    const hint = (sequencer: string, of = "k") => ({ key: of, sequencer });
    expect(isOld(hint("0A"))).toBe(false);
    looked([hint("0A")]);
    expect(isOld(hint("0A"))).toBe(true);
    expect(isOld(hint("09FF"))).toBe(true);
    // Padded on the right: longer is not larger.
    expect(isOld(hint("0A01"))).toBe(false);
    expect(isOld(hint("0B"))).toBe(false);
    expect(isOld(hint("01", "other"))).toBe(false);
    expect(isOld({ key: "k" })).toBe(false);
    looked([hint("05")]);
    expect(isOld(hint("09"))).toBe(true);
  });

  it("forget keys, oldest first, instead of growing", () => {
    const { isOld, looked } = sequencers();
    for (let at = 0; at < 10_001; at++) looked([{ key: `k${at}`, sequencer: "0A" }]);
    expect(isOld({ key: "k0", sequencer: "0A" })).toBe(false);
    expect(isOld({ key: "k1", sequencer: "0A" })).toBe(true);
  });
});
