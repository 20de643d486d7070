import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sourceConformance } from "sluice/testing";
import { afterAll, describe, it } from "vitest";
import { file } from "./file.ts";

const path = await mkdtemp(join(tmpdir(), "sluice-file-kit-"));
afterAll(() => rm(path, { recursive: true, force: true }));

describe("file keeps what a source must:", () => {
  const origin = {
    put: async (key: string, text: string) => {
      await writeFile(join(path, `${key}.md`), text);
      return `${key}.md`;
    },
    remove: (key: string) => rm(join(path, `${key}.md`)),
  };
  const module = new URL("./file.js", import.meta.url);
  // As of a disk that is unmounted, and mounted again.
  const outage = {
    begin: () => rename(path, `${path}.away`),
    end: () => rename(`${path}.away`, path),
  };
  const given = { source: file, config: { path }, origin, module, outage, many: 300 };
  for (const { name, run } of sourceConformance(given)) it(name, run, 60_000);
});
