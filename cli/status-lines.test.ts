import { describe, expect, it } from "vitest";
import type { ConnectorStatus, PipelineStatus } from "../core/runtime/status.ts";
import { statusLines } from "./status-lines.ts";

const connector = (over: Partial<ConnectorStatus>): ConnectorStatus => ({
  name: "notes",
  kind: "source",
  type: "file",
  state: "running",
  events: 0,
  deadLetters: 0,
  counters: {},
  ...over,
});
const status = (...connectors: readonly ConnectorStatus[]): PipelineStatus => ({
  project: "shop",
  pid: 7,
  host: "box",
  startedAt: "2025-01-01T00:00:00Z",
  queue: "embedded",
  queueAnswers: true,
  durability: "disk",
  connectors,
});
const paint = (_: string, text: string) => text;
const subscription = { topic: "pages", oldestMs: 1, consumers: 1, state: "live" } as const;

describe("the lines of a process", () => {
  it("say that the queue does not answer", () => {
    const [heading] = statusLines({ ...status(connector({})), queueAnswers: false }, { paint });
    expect(heading).toBe("shop · queue embedded (does not answer) · box · pid 7");
  });

  it("say who it is and what each connector does", () => {
    const lines = statusLines(
      status(
        connector({
          events: 1_234,
          progress: { phase: "snapshot", done: 45, total: 100, percent: 45 },
        }),
        connector({
          name: "search",
          kind: "sink",
          type: "pinecone",
          events: 9,
          deadLetters: 2,
          subscriptions: [
            { ...subscription, waiting: 1_000 },
            { ...subscription, waiting: 5 },
          ],
        }),
      ),
      { paint, rates: new Map([["notes", 119.6]]) },
    );
    expect(lines).toEqual([
      "shop · queue embedded (disk) · box · pid 7",
      "  notes   source file    running  1,234 events  120/s  snapshot 45 % (45/100)",
      "  search  sink pinecone  running  9 events      0/s    1,005 waiting, live, 2 dead letters",
    ]);
  });

  it("tell how long a snapshot will take, where it can be known", () => {
    const told = (progress: NonNullable<ConnectorStatus["progress"]>) =>
      statusLines(status(connector({ progress })), { paint })[1]?.split("events  ")[1];
    const half = { phase: "snapshot", done: 500, total: 1_000, percent: 50 } as const;
    expect(told({ ...half, etaMs: 12_300 })).toBe("snapshot 50 % (500/1,000), 13 s left");
    expect(told({ ...half, etaMs: 600_000 })).toBe("snapshot 50 % (500/1,000), 10 min left");
    expect(told({ ...half, etaMs: 9_000_000 })).toBe("snapshot 50 % (500/1,000), 3 h left");
    expect(told({ phase: "snapshot", done: 500 })).toBe("snapshot (500)");
    expect(told({ phase: "snapshot", done: 500, total: 400 })).toBe("snapshot (500/400)");
    expect(told({ phase: "streaming", done: 3, total: 4 })).toBe("streaming");
    const asked = connector({ progress: { phase: "streaming" }, requests: 2 });
    expect(statusLines(status(asked), { paint })[1]).toMatch(/ streaming, 2 snapshots asked for$/);
  });

  it("tell whose topic is not had whole, and since when", () => {
    const since = "2025-01-01T10:11:12.000Z";
    const sink = (...subscriptions: NonNullable<ConnectorStatus["subscriptions"]>) =>
      statusLines(status(connector({ kind: "sink", subscriptions })), { paint })[1];
    const partial = { ...subscription, waiting: 0, state: "partial", since } as const;
    const from = ["rows"];
    const behind = { ...subscription, waiting: 0, from } as const;
    const late = { ...behind, topic: "posts", state: "catching-up" } as const;
    expect(sink(partial)).toMatch(/ 0 waiting, partial since 2025-01-01 10:11$/);
    expect(sink(late)).toMatch(/ 0 waiting, catching up from rows$/);
    expect(sink(partial, late)).toMatch(
      / partial since 2025-01-01 10:11 on pages, catching up from rows on posts$/,
    );
  });

  it("leave out rates that nobody measured, and tell the lag", () => {
    const one = connector({ progress: { phase: "streaming", lag: "3 s" } });
    expect(statusLines(status(one), { paint })[1]).toBe(
      "  notes  source file  running  0 events  streaming, 3 s behind",
    );
  });

  it("put what is wrong, since when, and the fix below its connector", () => {
    const one = connector({
      state: "failing",
      error: {
        code: "file.gone",
        message: "file: the folder\nis gone.",
        fix: "Create it.",
        since: "2025-01-01T10:11:12.000Z",
      },
    });
    expect(statusLines(status(one, connector({ name: "b" })), { paint }).slice(2)).toEqual([
      "    ✗ file.gone since 10:11:12: file: the folder is gone.",
      "    → Create it.",
      "  b      source file  running  0 events",
    ]);
  });

  it("are never wider than the terminal, colours aside", () => {
    const coloured = (_: string, text: string) => `<${text}>`;
    const one = connector({ name: "a".repeat(60), state: "failed" });
    for (const line of statusLines(status(one), { paint: coloured, columns: 40 }))
      expect(line.replaceAll(/[<>]/g, "").length).toBeLessThanOrEqual(40);
  });

  it("keep state, events/s, waiting and the error on a narrow terminal", () => {
    const sink = connector({
      name: "a-search-with-a-long-name",
      kind: "sink",
      type: "pinecone",
      state: "failing",
      subscriptions: [{ ...subscription, waiting: 1_005 }],
      error: {
        code: "pinecone.unreachable",
        message: "pinecone: answers 503: the service is not there.",
        fix: "Wait: it is retried.",
        since: "2025-01-01T10:11:12.000Z",
      },
    });
    const source = connector({
      progress: { phase: "snapshot", done: 45, total: 100, percent: 45 },
    });
    const rates = new Map([["notes", 1_200]]);
    expect(statusLines(status(source, sink), { paint, rates, columns: 39 })).toEqual([
      "shop · queue embedded (disk) · box · p…",
      "  running notes   1,200/s snapshot 45 %",
      "  failing a-sear… 0/s     1,005 waiting",
      "    ✗ 10:11:12 pinecone: answers 503:",
      "      the service is not there.",
      "    → Wait: it is retried.",
    ]);
  });

  it("colour the state, and not a name that equals it", () => {
    const coloured = (style: string, text: string) => `<${style}:${text}>`;
    const one = connector({ name: "running" });
    expect(statusLines(status(one), { paint: coloured })[1]).toBe(
      "  running  source file  <green:running>  0 events",
    );
  });
});
