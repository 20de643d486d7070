import { expect, it } from "vitest";
import { cleared, upserted } from "../event.ts";
import { version } from "../version.ts";
import { partitionOf } from "../queue/partition.ts";
import { firstOther } from "./first-other.ts";

const at = (n: number) => version({ epoch: 1, position: BigInt(n), rank: 0, tail: 0 });
const event = (subject: string, n = 1) =>
  upserted({
    source: "/t",
    key: subject,
    subject,
    version: at(n),
    time: "2026-01-01T00:00:00Z",
    meta: {},
    op: "create",
    after: {},
  });
const clear = cleared({
  source: "/t",
  below: at(1),
  reason: "sweep",
  time: "2026-01-01T00:00:00Z",
  meta: {},
});

it("finds the first that waits of another key, and no clear", () => {
  const waiting = [clear, event("a", 2), event("b", 3), event("c", 4)];
  expect(firstOther(waiting, [event("a"), event("b")], { partitions: 1 })?.subject).toBe("c");
  expect(firstOther(waiting, [event("a")], { partitions: 1 })?.subject).toBe("b");
  expect(firstOther([clear, event("a", 2)], [event("a")], { partitions: 1 })).toBe(undefined);
  expect(firstOther(waiting, [], { partitions: 1 })).toBe(undefined);
});

it("looks only in the partition of what fails, where nothing older of that key can be on its way", () => {
  const all = Array.from({ length: 40 }, (_, n) => event(`key-${n}`));
  const [bad, ...others] = all as [(typeof all)[number], ...typeof all];
  const partitions = 4;
  const found = firstOther(others, [bad], { partitions });
  expect(found && partitionOf(found, partitions)).toBe(partitionOf(bad, partitions));
  const elsewhere = others.filter(
    (one) => partitionOf(one, partitions) !== partitionOf(bad, partitions),
  );
  expect(firstOther(elsewhere, [bad], { partitions })).toBe(undefined);
});

it("passes over what the connector filters out", () => {
  const filter = { exact: { subject: "c" } };
  const waiting = [event("b"), event("c")];
  expect(firstOther(waiting, [event("a")], { partitions: 1, filter })?.subject).toBe("c");
});
