import { execFile } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

/** Tells every module that is loaded, ESM and what it imports of CommonJS. */
const hook = `
  import { writeSync } from "node:fs";
  export async function load(url, context, next) {
    writeSync(2, url + "\\n");
    return next(url, context);
  }`;
const register = `
  import { register } from "node:module";
  register("data:text/javascript," + encodeURIComponent(${JSON.stringify(hook)}));`;

/** The packages, and files of ours, that importing something loads. */
async function loadedBy(code: string) {
  const hooked = ["--import", `data:text/javascript,${encodeURIComponent(register)}`];
  const args = [...hooked, "--input-type=module", "--eval", code];
  const { stderr } = await promisify(execFile)(process.execPath, args, { cwd: root });
  const urls = stderr.split("\n").filter((line) => line.startsWith("file:"));
  const packageOf = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*\/node_modules\/)/;
  return {
    packages: [...new Set(urls.map((url) => packageOf.exec(url)?.[1] ?? "sluice"))].toSorted(),
    files: urls.filter((url) => !url.includes("/node_modules/")),
  };
}

it.each(['import "sluice"', 'import "sluice/testing"'])(
  "%s loads zod, and no driver",
  async (code) => {
    const { packages, files } = await loadedBy(code);
    expect(packages).toEqual(["sluice", "zod"]);
    expect(files.filter((file) => /\/dist\/(connectors|cli)\//.test(file))).toEqual([]);
  },
);

it("the hook sees a driver where there is one", async () => {
  expect((await loadedBy('import "ioredis"; import "chokidar"')).packages).toEqual(
    expect.arrayContaining(["chokidar", "ioredis"]),
  );
});
