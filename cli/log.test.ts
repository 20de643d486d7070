import { describe, expect, it } from "vitest";
import { RetryableError, SluiceError } from "../core/errors.ts";
import { openLog, scrubber } from "./log.ts";

describe("logs", () => {
  it("are JSON lines with level, time, fields and message", () => {
    const lines: string[] = [];
    const log = openLog((line) => lines.push(line), []);
    log.info({ connector: "notes", batch: 3 }, "published");
    log.debug({}, "not shown");
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({
      level: "info",
      time: expect.stringMatching(/^\d{4}-/),
      connector: "notes",
      batch: 3,
      msg: "published",
    });
  });

  it("show the stack of what nobody expected, and of nothing that says itself what to do", () => {
    const lines: string[] = [];
    const log = openLog((line) => lines.push(line), []);
    const cause = new SluiceError("no folder", { code: "test.missing" });
    const fix = "Start the sink that makes it.";
    const waiting = { code: "test.no-index", reason: "unreachable", fix, cause } as const;
    log.warn({ error: new RetryableError("there is no index yet", waiting) }, "trying again");
    log.warn({ error: new TypeError("x is not a function") }, "trying again");
    const [first = "", second = ""] = lines;
    expect(JSON.parse(first)).toMatchObject({ error: { code: "test.no-index", fix } });
    expect(first).toContain("there is no index yet");
    expect(first).not.toMatch(/"stack"|\bat .*\.js/);
    expect(JSON.parse(second)).toMatchObject({
      error: { stack: expect.stringContaining("    at ") },
    });
  });

  it("show no secret, wherever it stands, also of an error and its cause", () => {
    const lines: string[] = [];
    const secret = 'pa"ss\\word';
    const log = openLog((line) => lines.push(line), [secret]);
    const error = new Error(`refused ${secret}`, { cause: new Error(`because of ${secret}`) });
    log.error({ error, deep: { url: `http://x?key=${encodeURIComponent(secret)}` } }, secret);
    expect(lines.join("")).not.toMatch(/ss\\+word|ss%5Cword/);
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({
      msg: "***",
      deep: { url: "http://x?key=***" },
    });
  });
});

it("a secret that contains another is hidden whole", () => {
  expect(scrubber(["secret", "secret-long"])("a secret-long b secret")).toBe("a *** b ***");
});
