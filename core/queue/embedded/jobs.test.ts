import { expect, it } from "vitest";
import { upserted, type SluiceEvent } from "../../event.ts";
import { version } from "../../version.ts";
import { toJobs } from "./jobs.ts";

function event(n: number, { chars = 10, audience }: { chars?: number; audience?: string } = {}) {
  return upserted({
    source: "/jobs",
    key: n,
    subject: String(n),
    version: version({ epoch: 0, position: BigInt(n), rank: 1, tail: 0 }),
    time: "2026-01-01T00:00:00Z",
    op: "create",
    after: { text: "x".repeat(chars) },
    meta: {},
    ...(audience && { audience }),
  });
}

const eventsOf = (json: string) => JSON.parse(json) as SluiceEvent[];

it("makes one job a partition of a usual yield", () => {
  const events = Array.from({ length: 200 }, (_, n) => event(n));
  const jobs = toJobs(events, 4);
  expect(new Set(jobs.map(({ partition }) => partition))).toEqual(new Set([0, 1, 2, 3]));
  expect(jobs).toHaveLength(4);
  expect(jobs.flatMap(({ json }) => eventsOf(json))).toHaveLength(200);
  expect(jobs.reduce((sum, job) => sum + job.events, 0)).toBe(200);
});

it("cuts what is large, in order, down to single events", () => {
  const events = [event(1), event(2, { chars: 5_000_000 }), ...[3, 4, 5].map((n) => event(n))];
  const jobs = toJobs(events, 1);
  expect(jobs.flatMap(({ json }) => eventsOf(json))).toEqual(events);
  const large = jobs.filter(({ json }) => json.length > 1_000_000);
  expect(large.map((job) => job.events)).toEqual([1]);
});

it("cuts where the audience changes", () => {
  const jobs = toJobs(
    [event(1), event(2, { audience: "a" }), event(3, { audience: "a" }), event(4)],
    1,
  );
  expect(jobs.map((job) => [job.audience, job.events])).toEqual([
    [null, 1],
    ["a", 2],
    [null, 1],
  ]);
});

it("makes no job of nothing", () => {
  expect(toJobs([], 4)).toEqual([]);
});
