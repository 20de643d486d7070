import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve, sep } from "node:path";
import * as fc from "fast-check";
import { catalog } from "../../connectors/registry.ts";
import { loadPipeline } from "../../core/config/load.ts";
import { ConfigError } from "../../core/errors.ts";
import { configs } from "./cases.ts";
import { watchProcess } from "./watched.ts";

// A process of its own: what it opens and whom it calls is watched. Arguments: folder, seed, runs, docs/errors.md.

const [dir = "", seed = "", runs = "", errors = ""] = process.argv.slice(2);
const codes = new Set(
  [...readFileSync(errors, "utf8").matchAll(/^\| `([a-z0-9.-]+)`/gm)].map(([, code]) => code),
);
const env = {
  DATABASE_URL: "postgres://localhost/shop",
  MONGODB_URL: "mongodb://localhost",
  SECRET: "hunter2-secret",
};
const code = resolve(import.meta.dirname, "../../..") + sep;
writeFileSync(join(dir, "key"), "a secret\n");
writeFileSync(join(dir, "broken.mjs"), "export const = ;");
writeFileSync(join(dir, "store.mjs"), "export const nothing = 1;");
const watched = watchProcess();
const outcomes = { loaded: 0, refused: 0 };
let slowestMs = 0;

const property = fc.asyncProperty(
  fc.array(configs, { minLength: 1, maxLength: 2 }),
  async (texts) => {
    const files = texts.map((text, at) => {
      const file = join(dir, `${at}.json`);
      writeFileSync(file, text);
      return file;
    });
    watched.files.clear();
    const began = performance.now();
    try {
      const { warnings } = await loadPipeline(files, { env, catalog });
      outcomes.loaded += 1;
      for (const finding of warnings) assert.ok(finding.message && finding.code);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      outcomes.refused += 1;
      assert.ok(error.findings.length > 0, "findings");
      for (const finding of error.findings) {
        const said = JSON.stringify(finding);
        assert.ok(finding.path && finding.fix && finding.message, `path, fix and message: ${said}`);
        assert.ok(codes.has(finding.code), `docs/errors.md has no ${finding.code}`);
        assert.ok(!/\[object \w+\]/.test(said), said);
        assert.ok(!isSecretive(texts) || !said.includes(env.SECRET), `a secret: ${said}`);
      }
    }
    slowestMs = Math.max(slowestMs, performance.now() - began);
    assert.deepEqual(Object.keys(Object.prototype), []);
    assert.deepEqual(watched.calls, [], "nobody is called");
    const named = namedIn(texts);
    for (const file of watched.files)
      assert.ok(isAllowed(resolve(file), named), `${file} was opened, and nothing names it`);
  },
);

/** The secret stands only where one may: names of connectors and topics are no place for it, and are shown. */
function isSecretive(texts: readonly string[]): boolean {
  const all = texts.join("\n");
  const hidden = /"(?:queue|state|project|url|apiKey|secretAccessKey)":"[^"]*\$\{SECRET\}/g;
  return [...all.matchAll(hidden)].length === all.split("${SECRET}").length - 1;
}

/** Every path that a text could name: each string, and what it becomes. */
function namedIn(texts: readonly string[]): ReadonlySet<string> {
  const strings: string[] = [];
  for (const text of texts)
    try {
      JSON.parse(text.replace(/^\uFEFF/, ""), (_, value: unknown) => {
        if (typeof value === "string") strings.push(value);
        return value;
      });
    } catch {
      // not JSON: it names nothing
    }
  const inside = strings.flatMap((one) =>
    [...one.matchAll(/\$\{file:([^}]*)\}/g)].map(([, path = ""]) => path),
  );
  return new Set([...strings, ...inside].map((path) => resolve(dir, path)));
}

function isAllowed(file: string, named: ReadonlySet<string>): boolean {
  if (named.has(file) || `${file}${sep}`.startsWith(dir + sep)) return true;
  // Our own code, loaded as it is named, and where a package would be looked for.
  const parts = file.split(sep);
  return (
    file.startsWith(code) ||
    parts.some((part) => /^\.?node_(?:modules|libraries)$/.test(part)) ||
    file.startsWith(resolve(process.execPath, "../../lib/node"))
  );
}

try {
  await fc.assert(property, { seed: Number(seed), numRuns: Number(runs) });
  process.send?.({ ok: true, ...outcomes, slowestMs });
} catch (error) {
  process.send?.({ ok: false, why: explained(error) });
}
process.disconnect();

function explained(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return `${error.message}\n${error.cause instanceof Error ? error.cause.stack : ""}`;
}
