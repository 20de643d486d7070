import { describe, expect, it } from "vitest";
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
