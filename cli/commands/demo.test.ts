import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { documentName } from "../demo/scenario.ts";
import { openWorkspace } from "../demo/workspace.ts";
import { runCli, startCli, until } from "../run.test.data.ts";

let dir = "";
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), "sluice-demo-"))));
afterEach(() => rmSync(dir, { recursive: true }));
const at = (...path: readonly string[]) => join(dir, ...path);
const read = (...path: readonly string[]) => readFileSync(at(...path), "utf8");

describe("the demo's folder", () => {
  it("is refused, and stays as it is, when it holds what is not the demo's", async () => {
    mkdirSync(at("notes"));
    const mine = ["id", "sluice.json", "notes/mine.md", `notes/${documentName}`];
    for (const name of mine) writeFileSync(at(name), "mine");
    const { code, stderr } = await runCli(dir, ["demo", "--dir", "."]);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringContaining("cli.demo-folder"),
    });
    for (const name of mine) expect(read(name)).toBe("mine");
    expect(existsSync(at("notes/travel.md"))).toBe(false);
  });

  it("is made, and found again with the same project and everything a person put there", async () => {
    const { project, notes } = await openWorkspace(at("a/b"));
    expect(project).toBe(read("a/b/id"));
    writeFileSync(join(notes, "mine.md"), "mine");
    writeFileSync(join(notes, "travel.md"), "mine too");
    writeFileSync(at("a/b/sluice.json"), "and mine");
    writeFileSync(join(notes, documentName), "left half-way");
    expect(await openWorkspace(at("a/b"))).toMatchObject({ project, notes });
    expect(read("a/b/notes/mine.md")).toBe("mine");
    expect(read("a/b/notes/travel.md")).toBe("mine too");
    expect(read("a/b/sluice.json")).toBe("and mine");
    expect(existsSync(join(notes, documentName))).toBe(false);
  });
});

describe("the demo", () => {
  it("says what was not observed, with the steps, and exits with 1", async () => {
    const human = await runCli(dir, ["demo", "--timeout", "0.001"]);
    expect(human.code).toBe(1);
    expect(human.stdout).toContain("Not observed: the folder is in the index.");
    const { code, stdout } = await runCli(dir, ["demo", "--timeout", "0.001", "--json"]);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      command: "demo",
      result: {
        ok: false,
        missed: "the folder is in the index",
        steps: [{ name: "the folder is in the index", ok: false }],
      },
    });
  });

  it("names the file to delete when its config lost the sink", async () => {
    await openWorkspace(at("d"));
    const { connectors, ...rest } = JSON.parse(read("d/sluice.json")) as { connectors: object[] };
    writeFileSync(
      at("d/sluice.json"),
      JSON.stringify({ ...rest, connectors: connectors.slice(0, 1) }),
    );
    const { code, stderr } = await runCli(dir, ["demo", "--dir", "d"]);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringContaining("Delete d/sluice.json"),
    });
  });

  it("ends at once when it is interrupted, also while its queue does not answer", async () => {
    const silent = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => silent.once("listening", resolve));
    const { port } = silent.address() as AddressInfo; // a TCP server has one
    try {
      const cli = startCli(dir, ["demo", "--queue", `redis://127.0.0.1:${port}`]);
      await until(() => cli.stdout().includes("A pipeline from"), cli.stderr);
      const before = Date.now();
      cli.signal("SIGINT");
      const { code, stdout, stderr } = await cli.ended;
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toContain("Interrupted.");
      expect(Date.now() - before).toBeLessThan(3_000);
    } finally {
      silent.close();
    }
  });

  it("ends with one JSON answer when it is interrupted in a step", async () => {
    const cli = startCli(dir, ["demo", "--json"]);
    await until(() => existsSync(at(".sluice/demo/demo.log")), cli.stderr);
    cli.signal("SIGTERM");
    const { code, stdout } = await cli.ended;
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ command: "demo", result: { interrupted: true } });
  });
});
