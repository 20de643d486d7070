import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

it("docs/errors.md lists exactly the codes that the source uses", () => {
  const used = new Set<string>();
  for (const room of ["core", "connectors", "cli"])
    for (const name of readdirSync(join(root, room), { recursive: true, encoding: "utf8" })) {
      if (!name.endsWith(".ts") || name.endsWith(".test.ts") || name.includes("conformance"))
        continue;
      const source = readFileSync(join(root, room, name), "utf8");
      for (const [, code] of source.matchAll(/\bcode: "([a-z0-9]+(?:[.-][a-z0-9]+)+)"/g))
        if (code !== undefined) used.add(code);
    }
  const page = readFileSync(join(root, "docs/errors.md"), "utf8");
  const listed = [...page.matchAll(/^\| `([^`]+)` \|/gm)].map(([, code]) => code);
  expect(listed).toEqual([...used].toSorted());
});
