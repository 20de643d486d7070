import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const page = readFileSync(join(root, "docs/errors.md"), "utf8");
const listed = [...page.matchAll(/^\| `([^`]+)` \|/gm)].map(([, code = ""]) => code);
const folders = ["sources", "transforms", "sinks"].flatMap((kind) =>
  readdirSync(join(root, "connectors", kind)),
);
const rooms = [...new Set([...folders, ...listed.map((code) => code.split(".")[0])])];
const literal = new RegExp(`"((?:${rooms.join("|")})\\.[a-z][a-z0-9]*(?:-[a-z0-9]+)*)"`, "g");

/** Every `"room.reason"` in what ships. */
function used(): readonly string[] {
  const codes = new Set<string>();
  for (const room of ["core", "connectors", "cli"])
    for (const name of readdirSync(join(root, room), { recursive: true, encoding: "utf8" })) {
      if (!name.endsWith(".ts") || /\.test\.|conformance|testing/.test(name)) continue;
      const source = readFileSync(join(root, room, name), "utf8");
      for (const [, code = ""] of source.matchAll(literal))
        if (!/\.(db|ts|json|js)$/.test(code)) codes.add(code);
    }
  return [...codes].toSorted();
}

it("docs/errors.md lists exactly the codes that the source uses, in order", () => {
  expect(listed.length).toBeGreaterThan(50);
  expect(listed).toEqual(used());
});
