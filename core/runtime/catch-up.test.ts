import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openBackend, type Backend } from "../backend.ts";
import { openServing, servedBy } from "./catch-up.ts";
import type { Producer } from "./producers.ts";
import { forgottenWrite, pendingRequests } from "./requests.ts";
import { readSubscriptions } from "./standings.ts";

const log = { debug() {}, info() {}, warn() {}, error() {} };
const settings = { partitions: 1, optional: false, maxWaiting: 10 };
const source = { kind: "source", name: "notes", topic: "t", snapshots: true } as const;
const parse: Producer = { kind: "transform", name: "parse", from: ["t"], topic: "parsed" };

let dir = "";
let backend: Backend;
let stop: AbortController;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "sluice-catch-up-"));
  const place = { kind: "embedded", dir } as const;
  const topics = { t: settings, parsed: settings };
  const pipeline = { project: "p", queue: place, state: place, topics, connectors: [] };
  backend = await openBackend(pipeline, { log });
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  await backend.close(1_000);
  rmSync(dir, { recursive: true, force: true });
});

const serving = (producer: Producer, { isAnew = false, isOptional = false } = {}) => {
  const { topics, state } = backend;
  const common = { topics, state, isOptional, log, signal: stop.signal };
  return openServing({ producer, ...common }, { isAnew, asked: () => undefined });
};
const subscribe = (name: string, topic = "t") => backend.topics.subscribe({ topic, name });
const scopeOf = (name: string) => backend.state.scope(name).state;
const asked = async () => (await pendingRequests(scopeOf("notes"))).map(({ audience }) => audience);
const requestsOf = async (name: string) =>
  (await servedBy(scopeOf("notes")))?.get(name)?.requests.map(({ id }) => id);
const standings = async () =>
  Object.fromEntries((await readSubscriptions(backend)).map(({ name, state }) => [name, state]));
const { signal } = new AbortController();

describe("a source", () => {
  it("has served whoever is there before its first event, and asks for a snapshot for who is not", async () => {
    await subscribe("early");
    const { begun } = await serving(source);
    expect(await servedBy(scopeOf("notes"))).toBeUndefined();
    expect(await standings()).toEqual({ early: "live" });
    await begun({ signal });
    await begun({ signal });
    await subscribe("late");
    expect(await standings()).toEqual({ early: "live", late: "catching-up" });
    await expect.poll(asked, { timeout: 5_000 }).toEqual(["late"]);
    expect(await requestsOf("early")).toEqual([]);
    await expect.poll(async () => (await requestsOf("late"))?.length).toBe(1);
    expect(await standings()).toEqual({ early: "live", late: "catching-up" });
    const [id = ""] = (await requestsOf("late")) ?? [];
    await scopeOf("notes").each([forgottenWrite(id)]);
    expect(await standings()).toEqual({ early: "live", late: "live" });
  });

  it("waits for the first subscription, unless its topic is optional", async () => {
    const { begun } = await serving(source);
    let hasBegun = false;
    const beginning = begun({ signal }).then(() => (hasBegun = true));
    await expect.poll(() => hasBegun).toBe(false);
    await subscribe("first");
    await beginning;
    expect(await requestsOf("first")).toEqual([]);
    const other = await serving(
      { ...source, name: "other", topic: "parsed" },
      { isOptional: true },
    );
    await other.begun({ signal });
    expect((await servedBy(scopeOf("other")))?.size).toBe(0);
  });

  it("gives up waiting on abort", async () => {
    const { begun } = await serving(source);
    const giveUp = new AbortController();
    const beginning = begun({ signal: giveUp.signal });
    giveUp.abort(new Error("the lease is lost"));
    await expect(beginning).rejects.toThrow("the lease is lost");
    expect(await servedBy(scopeOf("notes"))).toBeUndefined();
  });

  it("forgets who leaves, and brings what was missed to who comes back", async () => {
    await subscribe("stays");
    await subscribe("leaves");
    const { begun } = await serving(source);
    await begun({ signal });
    await backend.topics.unsubscribe("t", "leaves");
    await subscribe("leaves");
    await expect.poll(asked, { timeout: 5_000 }).toEqual(["leaves"]);
    await backend.topics.unsubscribe("t", "leaves");
    await expect.poll(asked, { timeout: 5_000 }).toEqual([]);
    const marks = async () => [...((await servedBy(scopeOf("notes"))) ?? []).keys()];
    await expect.poll(marks).toEqual(["stays"]);
  });

  it("remembers over a restart who has been served, and does not ask twice", async () => {
    await subscribe("early");
    await (await serving(source)).begun({ signal });
    await subscribe("late");
    await expect.poll(asked, { timeout: 5_000 }).toEqual(["late"]);
    const before = await requestsOf("late");
    stop.abort();
    stop = new AbortController();
    await serving(source);
    await subscribe("later");
    await expect.poll(asked, { timeout: 5_000 }).toEqual(["late", "later"]);
    expect(await requestsOf("late")).toEqual(before);
  });

  it("that reads everything again serves all who are there by it", async () => {
    await subscribe("early");
    await (await serving({ ...source, snapshots: false })).begun({ signal });
    await subscribe("late");
    await (await serving(source, { isAnew: true })).begun({ signal });
    expect(await requestsOf("late")).toEqual([]);
    expect(await standings()).toEqual({ early: "live", late: "live" });
  });
});

describe("a subscription is partial", () => {
  it("where its source takes no snapshots", async () => {
    await subscribe("early");
    await (await serving({ ...source, snapshots: false })).begun({ signal });
    await subscribe("late");
    expect(await standings()).toEqual({ early: "live", late: "partial" });
    const late = (await readSubscriptions(backend)).find(({ name }) => name === "late");
    expect(late?.from).toBeUndefined();
    expect(Date.now() - Date.parse(late?.since ?? "")).toBeLessThan(10_000);
    expect(await asked()).toEqual([]);
  });

  it("behind a transform whose source takes none", async () => {
    await subscribe("parse");
    await (await serving({ ...source, snapshots: false })).begun({ signal });
    await subscribe("early", "parsed");
    await (await serving(parse)).begun({ signal });
    await subscribe("late", "parsed");
    expect(await standings()).toEqual({ parse: "live", early: "live", late: "partial" });
  });
});

describe("a transform", () => {
  it("asks the source behind it, by the way that leads through it", async () => {
    await subscribe("parse");
    await (await serving(source)).begun({ signal });
    await subscribe("early", "parsed");
    await (await serving(parse)).begun({ signal });
    await subscribe("late", "parsed");
    await expect.poll(asked, { timeout: 5_000 }).toEqual(["parse/late"]);
    await expect.poll(standings).toEqual({ parse: "live", early: "live", late: "catching-up" });
    expect(await readSubscriptions(backend)).toContainEqual(
      expect.objectContaining({ name: "late", state: "catching-up", from: ["notes"] }),
    );
    const [{ id } = { id: "" }] = await pendingRequests(scopeOf("notes"));
    await scopeOf("notes").each([forgottenWrite(id)]);
    expect(await standings()).toEqual({ parse: "live", early: "live", late: "live" });
  });

  it("in several processes has begun with the first of them", async () => {
    await subscribe("parse");
    await (await serving(source)).begun({ signal });
    await subscribe("early", "parsed");
    const [first, second] = [await serving(parse), await serving(parse)];
    await first.begun({ signal });
    await subscribe("late", "parsed"); // after events of the first process, before any of the second
    await second.begun({ signal });
    await expect.poll(asked, { timeout: 5_000 }).toEqual(["parse/late"]);
  });
});
