import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, it } from "vitest";
import { queueConformance } from "../conformance.ts";
import { openParty } from "./index.test.child.ts";

let dir: string;
beforeAll(() => void (dir = mkdtempSync(join(tmpdir(), "sluice-queue-"))));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe("embedded topics", () => {
  const suite = queueConformance({
    open: async (options) => openParty(dir, options),
    child: new URL("index.test.child.js", import.meta.url),
    childArguments: () => [dir],
  });
  for (const { name, run } of suite) it(name, run);
});
