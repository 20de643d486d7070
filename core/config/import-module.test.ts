import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { importModule } from "./import-module.ts";

let dir = "";
beforeAll(async () => void (dir = await mkdtemp(join(tmpdir(), "sluice-module-"))));
afterAll(() => rm(dir, { recursive: true }));

async function written(name: string, code: string): Promise<string> {
  const file = join(dir, name);
  await writeFile(file, code);
  return file;
}

describe("a module that is loaded", () => {
  it("is what it exports, or throws", async () => {
    expect(await importModule(await written("good.mjs", "export const one = 1;"))).toMatchObject({
      one: 1,
    });
    const bad = await written("bad.mjs", "throw new Error('not today');");
    await expect(importModule(bad)).rejects.toThrow("not today");
  });

  it("cannot end the process, nor can what it imports, at once or after a while", async () => {
    await written("ends.mjs", "process.exit(0);");
    for (const [name, code] of [
      ["imports.mjs", 'import "./ends.mjs";'],
      ["later.mjs", "await 1; process.exit(0);"],
      ["required.cjs", "process.exit(0);"],
    ] as const)
      await expect(importModule(await written(name, code)), name).rejects.toMatchObject({
        code: "config.broken-connector",
        message: "it calls process.exit(0).",
        fix: expect.stringMatching(/^Take that call out of /),
      });
  });

  it("prints to stderr, where no answer of a command is", async () => {
    const file = await written(
      "prints.mjs",
      'process.stdout.write("at once "); await 1; console.log("and later");',
    );
    const code = `
      import { importModule } from ${JSON.stringify(import.meta.resolve("./import-module.js"))};
      await importModule(${JSON.stringify(file)});
      console.log("an answer");`;
    const printed = await promisify(execFile)(process.execPath, [
      "--input-type=module",
      "-e",
      code,
    ]);
    expect(printed).toEqual({ stdout: "an answer\n", stderr: "at once and later\n" });
  });

  it("may take a while, and no longer", async () => {
    const slow = await written("slow.mjs", "await new Promise((wake) => setTimeout(wake, 20));");
    await importModule(slow);
    const file = await written("endless.mjs", "await new Promise(() => {});");
    await expect(importModule(file, { maxMs: 100 })).rejects.toMatchObject({
      code: "config.broken-connector",
      message: "it takes more than 0.1 s.",
      fix: expect.stringContaining(file),
    });
  });
});
