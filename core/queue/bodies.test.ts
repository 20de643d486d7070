import { expect, it } from "vitest";
import { upserted, type SluiceEvent } from "../event.ts";
import { version } from "../version.ts";
import { bodiesOf } from "./bodies.ts";

const maxChars = 512 * 1024;

function event(n: number, chars = 10) {
  return upserted({
    source: "/bodies",
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

it("makes one body of a usual share", () => {
  const events = Array.from({ length: 250 }, (_, n) => event(n));
  const bodies = bodiesOf(events, maxChars);
  expect(bodies.map((body) => body.events)).toEqual([250]);
  expect(bodies.flatMap(({ json }) => eventsOf(json))).toEqual(events);
});

it("cuts what is large, in order, down to single events", () => {
  const events = [
    event(1),
    event(2, 5_000_000),
    ...Array.from({ length: 100 }, (_, n) => event(n + 3, 20_000)),
  ];
  const bodies = bodiesOf(events, maxChars);
  expect(bodies.flatMap(({ json }) => eventsOf(json))).toEqual(events);
  expect(bodies.reduce((sum, body) => sum + body.events, 0)).toBe(events.length);
  for (const body of bodies) if (body.json.length > maxChars) expect(body.events).toBe(1);
});

it("makes nothing of nothing", () => {
  expect(bodiesOf([], maxChars)).toEqual([]);
});
