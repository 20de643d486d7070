import { expect, it } from "vitest";
import { upserted, type SluiceEvent } from "../../event.ts";
import { version } from "../../version.ts";
import { pack, payloadOf } from "./pack.ts";

function event(n: number, chars = 10) {
  return upserted({
    source: "/pack",
    key: n,
    subject: String(n),
    version: version({ epoch: 0, position: BigInt(n), rank: 1, tail: 0 }),
    time: "2026-01-01T00:00:00Z",
    op: "create",
    after: { text: "ü".repeat(chars) },
    meta: {},
  });
}

const eventsOf = (json: string) => JSON.parse(json) as readonly SluiceEvent[];

it("makes one job of a usual share", () => {
  const events = Array.from({ length: 100 }, (_, n) => event(n));
  const jobs = pack(events);
  expect(jobs).toHaveLength(1);
  expect(jobs.flatMap(({ json }) => eventsOf(json))).toEqual(events);
  expect(jobs[0]).toMatchObject({ events: 100, payloads: [] });
});

it("cuts by bytes, in order, and gives each job an id of its own", () => {
  const events = Array.from({ length: 100 }, (_, n) => event(n, 10_000));
  const jobs = pack(events);
  expect(jobs.length).toBeGreaterThan(10);
  expect(new Set(jobs.map(({ id }) => id)).size).toBe(jobs.length);
  expect(jobs.flatMap(({ json }) => eventsOf(json))).toEqual(events);
  expect(jobs.reduce((sum, job) => sum + job.events, 0)).toBe(100);
  for (const { json } of jobs) expect(Buffer.byteLength(json)).toBeLessThan(512 * 1024);
});

it("keeps what is over 256 KiB beside the job, its place named in the event", () => {
  const events = [event(1), event(2, 200_000), event(3, 3_000_000), event(4)];
  const jobs = pack(events);
  const unpacked = jobs.flatMap(({ json, payloads }) =>
    eventsOf(json).map((event) => {
      const place = payloadOf(event);
      return place === undefined ? event : payloads[place - 1];
    }),
  );
  expect(unpacked).toEqual(events);
  for (const { json } of jobs) expect(Buffer.byteLength(json)).toBeLessThan(512 * 1024);
  expect(jobs.flatMap(({ payloads }) => payloads)).toEqual([events[1], events[2]]);
});

it("leaves a dataref that is not ours alone", () => {
  const foreign = { ...event(1), dataref: "https://example.com/1" };
  expect(payloadOf(foreign)).toBeUndefined();
});

it("makes nothing of nothing", () => {
  expect(pack([])).toEqual([]);
});
