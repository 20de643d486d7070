import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { openDatabase, type Database } from "../../state/embedded/database.ts";
import { toJobs } from "./jobs.ts";
import { openLog, type Log, type Place } from "./log.ts";
import { openTaps } from "./tap.ts";
import { openRegistry, type Registry } from "./registry.ts";

let dir: string;
let database: Database;
let registry: Registry;
let log: Log;
let topic: string;
let id: number;
let count = 0;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "sluice-log-"));
  database = openDatabase(dir);
  registry = openRegistry(database, "sluice");
  log = openLog(database, registry, openTaps(database, "sluice"));
});
beforeEach(() => {
  topic = `topic-${count++}`;
  id = log.enter(topic, 1);
});
afterAll(() => {
  database.close();
  rmSync(dir, { recursive: true, force: true });
});

const append = (...ids: readonly string[]) => {
  for (const event of ids) {
    const events = [{ specversion: "1.0", id: event, source: "/log", type: "note" }];
    expect(log.append(topic, 1, toJobs(events, 1), { limit: 100, optional: false, events })).toBe(
      "done",
    );
  }
};
const subscribe = (name: string) => registry.subscribe({ topic, name }, 1);
const held = (name: string, token: number): Place => {
  const place = { topic: id, partition: 0, name, token };
  log.hold(place, () => true);
  return place;
};
const rows = () =>
  database.rows<[number]>("SELECT count(*) FROM log WHERE topic = ?", id)[0]?.[0] ?? 0;
const take = (place: Place) => {
  const taken = log.take(place);
  if (taken === "lost" || taken === undefined) return taken;
  return { id: taken.events[0]?.id, position: taken.position };
};

it("lets only the present holder take and acknowledge", () => {
  subscribe("s");
  append("a", "b");
  const old = held("s", 1);
  expect(take(old)).toEqual({ id: "a", position: 1 });
  const next = held("s", 2);
  expect(take(old)).toBe("lost");
  expect(log.acknowledge([{ place: old, position: 1 }])).toEqual([false]);
  expect(take(next)).toEqual({ id: "a", position: 1 });
  expect(log.acknowledge([{ place: next, position: 1 }])).toEqual([true]);
  expect(take(next)).toEqual({ id: "b", position: 2 });
});

it("gives a partition to nobody whose lease has ended meanwhile", () => {
  subscribe("s");
  append("a");
  const place = held("s", 2);
  log.hold({ ...place, token: 1 }, () => false);
  expect(take(place)).toEqual({ id: "a", position: 1 });
});

it("never moves a cursor back", () => {
  subscribe("s");
  append("a", "b");
  const place = held("s", 1);
  expect(log.acknowledge([{ place, position: 2 }])).toEqual([true]);
  expect(log.acknowledge([{ place, position: 1 }])).toEqual([false]);
  expect(take(place)).toBeUndefined();
});

it("deletes a job when the last subscription has passed it", () => {
  subscribe("a");
  subscribe("b");
  append("x", "y");
  log.acknowledge([{ place: held("a", 1), position: 2 }]);
  expect(rows()).toBe(2);
  log.acknowledge([{ place: held("b", 1), position: 1 }]);
  expect(rows()).toBe(1);
  registry.unsubscribe(topic, "b");
  expect(rows()).toBe(0);
});

it("does not take a subscription that was ended and begun again for the old one", () => {
  subscribe("s");
  append("a");
  const place = held("s", 1);
  registry.unsubscribe(topic, "s");
  expect(take(place)).toBeUndefined();
  subscribe("s");
  expect(take(place)).toBe("lost");
  expect(log.acknowledge([{ place, position: 1 }])).toEqual([false]);
});

it("takes another number of partitions when nothing waits, and loses nothing by it", () => {
  subscribe("s");
  append("a");
  expect(() => log.enter(topic, 4)).toThrow(
    expect.objectContaining({ code: "queue.partitions-changed" }),
  );
  log.acknowledge([{ place: held("s", 1), position: 1 }]);
  expect(log.enter(topic, 4)).toBe(id);
  const events = Array.from({ length: 20 }, (_, n) => ({
    specversion: "1.0",
    id: String(n),
    source: "/log",
    type: "note",
  }));
  log.append(topic, 4, toJobs(events, 4), { limit: 100, optional: false, events });
  expect(registry.waiting().find((status) => status.topic === topic)?.waiting).toBe(20);
});
