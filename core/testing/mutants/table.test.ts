import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, describe, it } from "vitest";
import { sourceConformance } from "../index.ts";
import { expected } from "./expected.test.data.ts";
import { journal, journalOrigin } from "./journal.test.data.ts";
import { caughtBy, kinds, kitOf } from "./kits.test.data.ts";
import { misdefined } from "./misdefined.test.data.ts";
import type { Order } from "./thread.test.data.ts";

// A connector of each kind that is good, and the same with one thing broken, many times: the kit must pass
// the first, and fail each of the others by just the cases that are named in expected.test.data.ts (`SLUICE_TABLE=1`
// asks every case). They wait more than they work, so several are tried at once.

const dir = await mkdtemp(join(tmpdir(), "sluice-mutants-"));
afterAll(() => rm(dir, { recursive: true, force: true }));

/** Look at all that is held around them. */
const alone = [
  "keeps its memory bounded while it is not asked",
  "leaves nothing open: no timer, socket, file, thread, child or listener",
];

const secrets = "tells no secret, in no line, error, finding, counter, state or output";

/** Take seconds each: asked only of what they are meant to catch, and of the good. */
const slow = [
  ...alone,
  "killed at each step, it loses nothing and brings nothing back",
  "killed at each step, it keeps what stays, and its batch written again makes it whole",
  "killed at each step of a clear, written again it clears what is below, and nothing else",
  "killed at each step, what it answered is there, and every vector is whole",
  "written to from other processes at once, it loses nothing",
  "emits every record of many, and takes none for gone",
  "stopped after one batch of many large records, it goes on with the rest",
  "what changes while a snapshot on request is read is told, and stands",
  "a snapshot of many large records that is stopped after each batch goes on with the rest",
  "a batch of a thousand events is written whole",
  "records whose subjects look alike are strangers",
  "in another process, it knows what it wrote and deleted",
  "names the same change alike in another process",
  "gives the same in another process, whatever came before",
  "gives the same vectors in another process, under the same fingerprint",
  secrets,
];

/** Make every case take long. */
const slowToEnd = [
  "begins with what is yet to come",
  "looks only once",
  "outlives its abort",
  "sleeps through its abort",
  "never returns from its abort",
  "empties before it writes",
  "writes a vector by halves",
  "answers late whatever its abort",
];

/** Of the cases that are not there for a mutant it is asked one in so many, in turn: that they pass takes most of the time. */
const oneOf = Number(process.env["SLUICE_TABLE"] ?? 4);

/** Has cases meet what others left, so that what catches it depends on who was there before. */
const mixing = ["mixes namespaces"];

/** What catches those that are wrong in their definition. */
const ofDefinitions = Object.values(misdefined).map(({ by }) => by);

/** `caughtBy` in a thread of its own. */
async function caughtAlone(order: Order): Promise<readonly string[]> {
  const script = new URL("./thread.test.data.js", import.meta.url);
  const thread = new Worker(script, { workerData: order });
  try {
    return await new Promise((resolve, reject) => {
      thread.once("message", resolve).once("error", reject);
      thread.once("exit", (code) => reject(new Error(`the thread ended with ${code}`)));
    });
  } finally {
    await thread.terminate();
  }
}

const rows: { readonly who: string; caught: string }[] = [];
afterAll(() => {
  const width = Math.max(...rows.map(({ who }) => who.length));
  console.log(rows.map(({ who, caught }) => `${who.padEnd(width)}  ${caught}`).join("\n"));
});

for (const kind of kinds)
  describe.concurrent(`${kind}:`, { timeout: 120_000 }, async () => {
    const good = await kitOf(kind, undefined, dir);
    rows.push({ who: `good ${kind}`, caught: `caught by none of ${good.length} cases` });
    for (const { name } of good)
      it(`the good one passes: ${name}`, async () => {
        if (alone.includes(name))
          return assert.deepEqual(await caughtAlone({ kind, dir, names: [name] }), []);
        // With an origin that nobody else works on at the same time.
        const own = await kitOf(kind, undefined, dir);
        await own.find((one) => one.name === name)?.run();
      });

    const all: Readonly<Record<string, readonly string[]>> = {
      ...expected[kind],
      ...Object.fromEntries(Object.entries(misdefined).map(([fault, { by }]) => [fault, [by]])),
    };
    for (const [turn, [fault, names]] of Object.entries(all).entries()) {
      const row = { who: `${kind} that ${fault}`, caught: "not tried" };
      rows.push(row);
      const isAsked = (name: string, at: number) => {
        if (names.includes(name)) return true;
        if (fault in misdefined) return ofDefinitions.includes(name);
        // What is only left or told besides does the rest well.
        const [own = ""] = names;
        if (own === secrets || alone.includes(own) || slowToEnd.includes(fault)) return false;
        return !slow.includes(name) && (mixing.includes(fault) || (at + turn) % oneOf === 0);
      };
      // How much a source reads at once, and what memory does, differs a little from run to run.
      it(`one that ${fault} is caught`, { retry: 2 }, async () => {
        const asked = (await kitOf(kind, fault, dir)).filter(({ name }, at) => isAsked(name, at));
        const isAlone = ({ name }: { readonly name: string }) => alone.includes(name);
        const beside = asked.filter(isAlone).map(({ name }) => name);
        const caught = await caughtBy(asked.filter((one) => !isAlone(one)));
        if (beside.length > 0)
          caught.push(...(await caughtAlone({ kind, fault, dir, names: beside })));
        row.caught = `${caught.length} of ${asked.length}: ${caught.join("; ")}`;
        const [own = ""] = names;
        assert.ok(caught.includes(own), `not caught by "${own}", but by ${caught.join("; ")}`);
        assert.deepEqual(
          caught.filter((name) => !names.includes(name)),
          [],
          "caught by others too",
        );
      });
    }
  });

describe("the table", () => {
  it("has for every case of every kit one that is there for it to catch", async () => {
    const owned = (kind: (typeof kinds)[number]) => [
      ...ofDefinitions,
      ...Object.values<readonly string[]>(expected[kind]).flatMap(([own]) => own ?? []),
    ];
    // Two sources between them make every promise that a source can make.
    for (const kind of kinds) {
      const own = kind === "outbox" ? [...owned("outbox"), ...owned("journal")] : owned(kind);
      const names = (await kitOf(kind, undefined, dir)).map(({ name }) => name);
      assert.deepEqual(
        names.filter((name) => !own.includes(name)),
        [],
        `${kind}: no connector is broken in the way that these are there for`,
      );
    }
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
