import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeFolder } from "./make-folder.ts";

let dir = "";
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), "sluice-folder-"))));
afterEach(() => rmSync(dir, { recursive: true }));

describe("makeFolder", () => {
  it("makes what is missing above too, and takes what is there", () => {
    makeFolder(join(dir, "a/b/c"));
    makeFolder(join(dir, "a/b/c"));
    expect(existsSync(join(dir, "a/b/c"))).toBe(true);
  });

  it("throws where a file or a broken link is in the way", () => {
    writeFileSync(join(dir, "file"), "");
    symlinkSync(join(dir, "nowhere"), join(dir, "link"));
    expect(() => makeFolder(join(dir, "file"))).toThrow("EEXIST");
    expect(() => makeFolder(join(dir, "file/x/y"))).toThrow("ENOTDIR");
    expect(() => makeFolder(join(dir, "link/x"))).toThrow("ENOENT");
  });

  it.runIf(process.platform === "linux")("throws below /proc instead of trying for ever", () => {
    expect(() => makeFolder("/proc/sluice/x")).toThrow("ENOENT");
  });
});
