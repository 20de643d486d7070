import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, it } from "vitest";
import { upserted } from "../../event.ts";
import {
  embedderConformance,
  sinkConformance,
  sourceConformance,
  transformConformance,
  vectorStoreConformance,
  type Case,
} from "../index.ts";
import { drawers } from "./drawers.test.data.ts";
import { journal, journalOrigin } from "./journal.test.data.ts";
import { letters } from "./letters.test.data.ts";
import { outbox, outboxOrigin } from "./outbox.test.data.ts";
import { readShelf, shelf } from "./shelf.test.data.ts";
import { poison, samples, words } from "./words.test.data.ts";
import { expected } from "./expected.test.data.ts";

// A connector of each kind that is good, and the same with one thing broken, many times: the kit must pass
// the first, and fail each of the others by just the cases that are named in expected.test.data.ts.

const dir = await mkdtemp(join(tmpdir(), "sluice-mutants-"));
afterAll(() => rm(dir, { recursive: true, force: true }));

type Kind = keyof typeof expected;
let targets = 0;

/** A kit over an origin or a target of its own. `broken` is what the connector does wrong. */
const kits: Readonly<Record<Kind, (broken: { broken?: string }) => Promise<readonly Case[]>>> = {
  journal: async (broken) => {
    const path = join(dir, `${(targets += 1)}.ndjson`);
    await writeFile(path, "");
    return sourceConformance({
      source: journal,
      config: { path, everyMs: 5, ...broken },
      origin: journalOrigin(path),
      module: new URL("./journal.test.data.js", import.meta.url),
      patienceMs: 700,
    });
  },
  outbox: async (broken) => {
    const path = join(dir, `${(targets += 1)}`);
    await mkdir(path);
    const origin = outboxOrigin(path);
    return sourceConformance({
      source: outbox,
      config: { path, ...broken },
      origin,
      patienceMs: 700,
    });
  },
  words: async (broken) =>
    transformConformance({ transform: words, config: broken, samples, poison }),
  shelf: async (broken) => {
    const path = join(dir, `${(targets += 1)}`);
    await mkdir(path);
    return sinkConformance({
      sink: shelf,
      config: { path, ...broken },
      read: () => readShelf(path),
      poison: (about, texts) =>
        upserted({ ...about, op: "update", after: { text: `poison ${texts.join(" ")}` } }),
      module: new URL("./shelf.test.data.js", import.meta.url),
    });
  },
  letters: async (broken) => embedderConformance({ embedder: letters, config: broken }),
  drawers: async (broken) =>
    vectorStoreConformance({
      store: drawers,
      config: { index: `index-${(targets += 1)}`, ...broken },
      patienceMs: 200,
    }),
};

/** Take seconds each: asked only of what they are meant to catch, and of the good. */
const slow = [
  "killed at each step, it loses nothing and brings nothing back",
  "killed at each step, its batch written again makes it whole",
  "keeps its memory bounded while it is not asked",
  "leaves no timer, socket or watcher behind",
  "leaves no timer, socket or thread behind",
  "tells no secret, in no line, error or finding",
];

/** Takes more than a second to end, whatever the case. */
const slowToEnd = ["outlives its abort"];

const rows: string[] = [];
afterAll(() => {
  const width = Math.max(...rows.map((row) => row.indexOf("|")));
  console.log(rows.map((row) => row.replace("|", " ".repeat(width - row.indexOf("|")))).join("\n"));
});

for (const kind of Object.keys(expected) as Kind[])
  describe(`${kind}:`, { timeout: 120_000 }, async () => {
    describe("the good one passes", async () => {
      const cases = await kits[kind]({});
      rows.push(`good ${kind}|  caught by none of ${cases.length} cases`);
      for (const { name, run } of cases) it(name, run);
    });
    const all: Readonly<Record<string, readonly string[]>> = expected[kind];
    for (const [broken, names] of Object.entries(all))
      // How much a source reads at once, and what memory does, differs a little from run to run.
      it(`one that ${broken} is caught`, { retry: 2 }, async () => {
        const caught: string[] = [];
        const isSlow = (name: string) => slow.includes(name) || slowToEnd.includes(broken);
        const asked = (await kits[kind]({ broken })).filter(
          ({ name }) => !isSlow(name) || names.includes(name),
        );
        for (const { name, run } of asked) await run().catch(() => caught.push(name));
        rows.push(
          `${kind} that ${broken}|  ${caught.length} of ${asked.length}: ${caught.join("; ")}`,
        );
        const [own = ""] = names;
        assert.ok(caught.includes(own), `not caught by "${own}", but by ${caught.join("; ")}`);
        assert.deepEqual(
          caught.filter((name) => !names.includes(name)),
          [],
          "caught by others too",
        );
      });
  });

describe("a case that waits in vain", () => {
  it("says soon what it waited for, and what came instead", async () => {
    const path = join(dir, "silent.ndjson");
    await writeFile(path, "");
    const origin = { ...journalOrigin(path), put: async (key: string) => key };
    const config = { path, everyMs: 5 };
    const cases = sourceConformance({ source: journal, config, origin, patienceMs: 100 });
    const emitting = cases.find(({ name }) => name === "emits what appears while it runs");
    const start = performance.now();
    await assert.rejects(
      async () => emitting?.run(),
      /waited for 1 new text\(s\), kit\w+, but nothing came for 100 ms; published: 0 events/,
    );
    assert.ok(performance.now() - start < 2_000);
  });
});
