import { utimesSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { openEmbeddedState } from "../../core/state/embedded/index.ts";
import type { Manifest } from "../../core/vectors.ts";
import { auditedFolder, listed, textOf } from "./audit.test.data.ts";

const { cli, configure, path, remove, start, stop, synced, tamper, until, write } = auditedFolder();

describe("verify", () => {
  it("finds an index exact, also while it changes, and compares it with the folder", async () => {
    configure();
    for (let n = 0; n < 20; n++) write(`note-${n}.md`);
    await start();
    await synced(20);
    let round = 0;
    const changing = setInterval(() => write(`note-${++round % 20}.md`, 1 + (round % 7)), 200);
    try {
      for (let run = 0; run < 3; run++) {
        const { code, result } = await cli("verify", "search");
        expect(result).toMatchObject({
          documents: 20,
          isDrifted: false,
          drift: { missing: 0, stale: 0, orphaned: 0, "old-lineage": 0 },
          scanned: ["folder"],
          skipped: [],
        });
        expect({ code, unsettled: result.unsettled }).toEqual({ code: 0, unsettled: 0 });
      }
    } finally {
      clearInterval(changing);
    }
  }, 300_000);

  it.each([
    ["", false],
    [", also once the index was found empty", true],
  ])(
    "names what is missing, stale, orphaned and of an old lineage, and repairs it through the queue%s",
    async (_, isEmptied) => {
      configure();
      for (let n = 0; n < 12; n++) write(`note-${n}.md`);
      await start();
      await synced(12);
      if (isEmptied) {
        await stop();
        await tamper((call) => call("/vectors/delete", { deleteAll: true }).then(() => undefined));
        await start();
        await cli("verify", "search", "--repair");
        await until(async () => (await cli("verify", "search")).code === 0);
      }
      await tamper(async (call) => {
        const ids = await listed(call);
        const of = (name: string) => ids.filter((id) => id.includes(`${name}#`));
        const [gone = ""] = of("note-1.md");
        await call("/vectors/delete", { ids: [gone] });
        const [changed = "", ...others] = of("note-2.md");
        await call("/vectors/update", { id: changed, setMetadata: { text: "somebody else's" } });
        const fetched = (await call(
          `/vectors/fetch?ids=${encodeURIComponent(others[0] ?? "")}`,
        )) as {
          vectors: Record<string, { id: string; values: number[]; metadata: object }>;
        };
        const [copy] = Object.values(fetched.vectors);
        const [prefix = ""] = changed.split("#");
        await call("/vectors/upsert", {
          vectors: [
            // Of a document that is known, of one that nobody knows, and of nobody.
            { ...copy, id: `${prefix}#0000000000000000~0` },
            {
              ...copy,
              id: "/file/folder:lost.md#0000000000000000~0",
              metadata: { _src: "/file/folder", _subject: "lost.md" },
            },
            { ...copy, id: "foreign", metadata: {} },
          ],
        });
      });
      const found = await cli("verify", "search", "--sample", "1000");
      expect(found.code).toBe(1);
      expect(found.ok).toBe(false);
      expect(found.result).toMatchObject({
        isDrifted: true,
        drift: { missing: 1, stale: 1, orphaned: 3, "old-lineage": 0 },
      });
      expect(found.result.examples).toEqual(
        expect.arrayContaining([
          expect.objectContaining({ kind: "missing", subject: "note-1.md" }),
          expect.objectContaining({ kind: "stale", subject: "note-2.md" }),
          expect.objectContaining({ kind: "orphaned", subject: "note-2.md" }),
          expect.objectContaining({ kind: "orphaned", ids: ["foreign"] }),
        ]),
      );
      const repaired = await cli("verify", "search", "--sample", "1000", "--repair");
      expect(repaired.result.repair).toMatchObject({ deletes: 1, asked: ["folder"], unable: [] });
      let after: Awaited<ReturnType<typeof cli>> | undefined;
      await until(
        async () => {
          after = await cli("verify", "search", "--sample", "1000");
          const { missing, stale, orphaned } = after.result.drift;
          // What is nobody's is nobody's to delete.
          return missing + stale === 0 && orphaned === 1;
        },
        () => JSON.stringify(after),
      );
      await stop();

      configure({ chunk: { maxTokens: 100 } });
      const old = await cli("verify", "search", "--no-sources");
      expect(old.result.drift["old-lineage"]).toBe(12);
    },
    120_000,
  );

  it("compares the rows that a file is split into, one by one", async () => {
    configure({ parse: { rows: { key: ["name"] } } });
    write("people.csv", "name,town\nada,London\nbob,Ulm\ncleo,Rome\n");
    await start();
    await synced(3);
    const exact = await cli("verify", "search");
    expect(exact.result).toMatchObject({ compared: 3, isDrifted: false, unsettled: 0 });
    await stop();
    write("people.csv", "name,town\nada,London\nbob,Bonn\ndora,Bern\n");
    const { result } = await cli("verify", "search", "--patience", "0");
    // Each row carries its file's time: the one that reads as before is stale with it.
    expect(result.drift).toMatchObject({ missing: 1, stale: 2, orphaned: 1 });
  }, 60_000);

  it("sees what a sink missed of its source, and refuses a repair that would delete much", async () => {
    configure();
    for (let n = 0; n < 30; n++) write(`note-${n}.md`);
    await start();
    await synced(30);
    await stop();
    // While nothing runs, the folder changes: nobody was told.
    write("note-0.md", 7);
    write("new.md");
    for (let n = 10; n < 28; n++) remove(`note-${n}.md`);
    const { code, result } = await cli("verify", "search", "--patience", "0");
    expect(result.drift).toEqual({ missing: 1, stale: 1, orphaned: 18, "old-lineage": 0 });
    expect(code).toBe(1);
    const refused = await cli("verify", "search", "--repair", "--patience", "0");
    expect(refused.error).toMatchObject({
      code: "cli.too-many-deletes",
      fix: expect.stringContaining("--force"),
    });
  }, 60_000);
});

describe("verify of what it cannot call exact", () => {
  it("tells that an emptied folder has lost its documents, and repairs that when it is told to", async () => {
    configure();
    for (let n = 0; n < 3; n++) write(`note-${n}.md`);
    await start();
    await synced(3);
    await stop();
    for (let n = 0; n < 3; n++) remove(`note-${n}.md`);
    const { code, result } = await cli("verify", "search", "--patience", "0", "--repair");
    expect(result.drift).toEqual({ missing: 0, stale: 0, orphaned: 3, "old-lineage": 0 });
    expect(code).toBe(1);
    await start();
    await synced(0);
    expect((await cli("verify", "search")).result).toMatchObject({ vectors: 0, isExact: true });
  }, 60_000);

  it("says how many records have an open dead letter, and calls none of them drift", async () => {
    configure({ parse: { rows: { key: ["name"] } } });
    write("people.csv", "name,town\nada,London\nbob,Ulm\n");
    await start();
    await synced(2);
    // No row says whose it is: the index keeps what it had.
    write("people.csv", "town\nBonn\n");
    await until(async () => (await cli("status")).result.deadLetters.search === 1);
    const { code, result } = await cli("verify", "search");
    expect(result).toMatchObject({ documents: 2, deadLettered: 1, isExact: true, unsettled: 0 });
    expect(code).toBe(0);
  }, 60_000);

  it("is not settled while a document's change is under way", async () => {
    configure();
    write("note.md");
    await start();
    await synced(1);
    await stop();
    const state = openEmbeddedState({ dir: path(".sluice"), project: "audit" });
    try {
      const own = state.scope("search").state;
      for await (const page of own.scan("own/m/"))
        for (const { key, value } of page) {
          const { chunks, ...manifest } = value as unknown as Manifest;
          const pending = chunks.map(({ id }) => id);
          const half = { ...manifest, chunks: [], state: "pending", before: null, pending };
          await own.each([{ key, value: half }]);
        }
    } finally {
      await state.close();
    }
    const gone = async () =>
      tamper(async (call) => {
        const [id = ""] = await listed(call);
        await call("/vectors/upsert", {
          vectors: [{ id: `${id}x`, values: Array.from({ length: 64 }, () => 1) }],
        });
      });
    await gone();
    const { code, ok, result } = await cli("verify", "search", "--no-sources", "--patience", "0");
    expect(result).toMatchObject({ isDrifted: false, isExact: false, unsettled: 1 });
    expect({ code, ok }).toEqual({ code: 1, ok: false });
  }, 60_000);

  it("is stale nowhere after a touch, and nothing is embedded for it", async () => {
    configure();
    write("note.md");
    await start();
    await synced(1);
    utimesSync(path("notes", "note.md"), 1_000_000_000, 1_000_000_000);
    await until(async () => (await cli("verify", "search", "--patience", "0")).code === 0);
    const { result } = await cli("verify", "search");
    expect(result).toMatchObject({ documents: 1, isExact: true });
  }, 60_000);
});

describe("plan", () => {
  it("estimates texts, tokens and cost of a first run, and writes nothing", async () => {
    configure();
    for (let n = 0; n < 5; n++) write(`note-${n}.md`, 4);
    write("copy.md", textOf("note-0.md", 4));
    const { code, result } = await cli("plan");
    expect(code).toBe(0);
    const [estimate] = result.estimates;
    expect(estimate).toMatchObject({
      sink: "search",
      records: 6,
      documents: 6,
      refused: 0,
      chunks: 24,
      texts: 20,
      scanned: ["folder"],
      skipped: [],
    });
    expect(estimate.tokens).toBeGreaterThan(200);
    expect(estimate).not.toHaveProperty("dollars");
    const limited = await cli("plan", "--limit", "2");
    expect(limited.result.estimates[0]).toMatchObject({ records: 2, limit: 2 });
    await start();
    await synced(6);
    const { result: verified } = await cli("verify", "search", "--no-sources");
    expect(verified.vectors).toBe(24);
  }, 60_000);

  it(
    "says what each change of the config means for what is there",
    { timeout: 60_000 },
    async () => {
      configure();
      write("note.md", 2);
      await start();
      await synced(1);
      await stop();
      expect((await cli("plan")).result.changes).toEqual([]);
      configure({
        chunk: { maxTokens: 50 },
        sink: { index: "other", maxVectors: 100, embedding: { provider: "hash", dimensions: 32 } },
      });
      const { result } = await cli("plan");
      const effects = result.changes.map(({ path, effect }: { path: string; effect: string }) => [
        path,
        effect,
      ]);
      expect(Object.fromEntries(effects)).toEqual({
        transforms: "resync",
        "config.index": "resync",
        "config.maxVectors": "apply",
        "config.embedding": "refuse",
      });
      const index = result.changes.find(({ path }: { path: string }) => path === "config.index");
      expect(index).toMatchObject({ connector: "search", before: "notes", after: "other" });
    },
  );

  it("counts the rows that a file is split into", async () => {
    configure({ parse: { rows: { key: ["name"] } } });
    write("people.csv", "name,town\nada,London\nbob,Ulm\ncleo,Rome\n");
    const { result } = await cli("plan");
    expect(result.estimates).toMatchObject([{ records: 1, refused: 0, documents: 3, chunks: 3 }]);
  });

  it("knows the price of OpenAI's models, and asks nobody", async () => {
    write("note.md", 50);
    configure({
      embedding: { provider: "openai", model: "text-embedding-3-large", dimensions: 3_072 },
    });
    const { result } = await cli("plan");
    const [{ dollars, tokens, model }] = result.estimates;
    expect(model).toContain("text-embedding-3-large");
    expect(dollars).toBeCloseTo((tokens / 1e6) * 0.13, 10);
    expect(dollars).toBeGreaterThan(0);
  });
});
