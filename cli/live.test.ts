import { expect, it } from "vitest";
import type { PipelineStatus } from "../core/runtime/status.ts";
import { openLiveView } from "./live.ts";
import { until } from "./run.test.data.ts";

const status = (events: number): PipelineStatus => ({
  project: "shop",
  pid: 7,
  host: "box",
  startedAt: "2025-01-01T00:00:00Z",
  queue: "embedded",
  queueAnswers: true,
  durability: "disk",
  connectors: ["a", "b"].map((name) => ({
    name,
    kind: "source",
    type: "file",
    state: "running",
    events,
    deadLetters: 0,
    counters: {},
  })),
});

/** What a terminal shows after these writes: only cursor up and clear to the end are understood. */
function shown(text: string): readonly string[] {
  let lines: string[] = [];
  // oxlint-disable-next-line no-control-regex -- escape sequences begin with one
  for (const part of text.split(/(\u001b\[\d+A\u001b\[J)/)) {
    // oxlint-disable-next-line no-control-regex -- as above
    const up = /^\u001b\[(\d+)A/.exec(part)?.[1];
    if (up) lines = lines.slice(0, lines.length - Number(up));
    else lines.push(...part.split("\n").slice(0, -1));
  }
  return lines;
}

it("the live view is rewritten in place, below what was printed, and outlives a queue that is away", async () => {
  let written = "";
  let reads = 0;
  const read = async () => {
    reads += 1;
    if (reads === 2) throw new Error("the queue is away");
    return status(reads * 10);
  };
  const out = { write: (text: string) => (written += text), columns: 80, rows: 24 };
  const view = openLiveView(read, { paint: (_, text) => text, footer: "Ctrl-C stops", out });
  await until(
    () => reads >= 4,
    () => written,
  );
  view.print("! look here");
  view.say("Stopping");
  out.write("a sink's line\n");
  await view.close();
  const lines = shown(written);
  expect(lines).toHaveLength(6);
  expect(lines.slice(0, 2)).toEqual(["! look here", "a sink's line"]);
  expect(lines[2]).toMatch(/^shop · queue embedded/);
  expect(lines[3]).toMatch(
    new RegExp(`^ {2}a {2}source file {2}running {2}${reads * 10} events {2}\\d+/s$`),
  );
  expect(Number(/(\d+)\/s/.exec(lines[3] ?? "")?.[1])).toBeGreaterThan(0);
  expect(lines[5]).toBe("Stopping");
  const after = written;
  await view.close();
  expect(shown(after).length).toBe(shown(written).length);
});

it("the live view fits a small terminal", async () => {
  let written = "";
  const out = { write: (text: string) => (written += text), columns: 30, rows: 4 };
  const view = openLiveView(async () => status(1), {
    paint: (_, text) => text,
    footer: "stop",
    out,
  });
  await view.close();
  const lines = shown(written);
  expect(lines).toHaveLength(3);
  for (const line of lines) expect(line.length).toBeLessThan(30);
});
