import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { openEmbeddedState } from "../../core/state/embedded/index.ts";
import { auditedFolder, listed, textOf } from "./audit.test.data.ts";

const { cli, configure, path, remove, start, stop, synced, tamper, until, write } = auditedFolder();

/** Keys of the sink's state that name a file. */
async function traces(name: string): Promise<readonly string[]> {
  const state = openEmbeddedState({ dir: path(".sluice"), project: "audit" });
  try {
    const found: string[] = [];
    for await (const page of state.scope("search").state.scan(""))
      for (const { key } of page) if (key.includes(name)) found.push(key);
    return found;
  } finally {
    await state.close();
  }
}

/** What the files of queue and state hold, deleted or not. */
function bytes(): string {
  const files = readdirSync(path(".sluice")).filter((name) => /^sluice\.db(-wal)?$/.test(name));
  return files.map((name) => readFileSync(path(".sluice", name), "latin1")).join("");
}

describe("erase", () => {
  it.each([
    ["beside a running pipeline", true],
    ["without one", false],
  ])(
    "leaves nothing of a record, %s",
    async (_, isRunning) => {
      configure();
      for (const name of ["ada.md", "bob.md", "bad.md"]) write(name);
      await start();
      await synced(3);
      remove("ada.md");
      // Nothing of it was ever written: only the letter holds it.
      write("secret.bin", Buffer.from([0, 1, 2, 3]));
      expect(bytes()).toContain(textOf("ada.md", 1).split("\n").at(-1));
      await until(async () => (await cli("status")).result.deadLetters.search === 1);
      if (!isRunning) await stop();
      const receiptFile = path("receipt.json");
      const of = ["--source", "/file/folder", "--key", "ada.md"];
      const erased = await cli("erase", ...of, "--yes", "--receipt", receiptFile);
      expect(erased.code).toBe(0);
      expect(erased.result).toMatchObject({
        record: { source: "/file/folder", subject: "ada.md" },
        isErased: true,
        deadLetters: 0,
        notErasable: [],
        isFileRewritten: true,
        sinks: [{ sink: "search", remaining: 0 }],
      });
      // Not in free pages either.
      expect(bytes()).not.toContain(textOf("ada.md", 1).split("\n").at(-1));
      expect(erased.result.sinks[0].cachedEmbeddings).toBeGreaterThan(0);
      expect(JSON.parse(readFileSync(receiptFile, "utf8"))).toEqual(erased.result);
      const letter = await cli("erase", "--source", "/file/folder", "--key", "secret.bin", "--yes");
      expect(letter.result).toMatchObject({ isErased: true, deadLetters: 1 });
      if (!isRunning) await start();
      await until(async () => (await cli("verify", "search")).result.documents === 2);
      await stop();
      await tamper(async (call) => {
        const ids = await listed(call);
        expect(ids.length).toBe(6);
        expect(ids.filter((id) => id.includes("ada"))).toEqual([]);
      });
      const database = readFileSync(path(".sluice", "sluice.db"), "latin1");
      expect(database).toContain("bob.md");
    },
    120_000,
  );

  it.each([
    ["beside a running pipeline", true],
    ["without one", false],
  ])(
    "leaves nothing of the rows that a file was split into, %s",
    async (_, isRunning) => {
      configure({ parse: { rows: { key: ["name"] } } });
      write("people.csv", "name,town\nada,London\nbob,Ulm\ncleo,Rome\n");
      write("other.csv", "name,town\nada,Paris\n");
      await start();
      await synced(4);
      remove("people.csv");
      if (isRunning) await synced(1);
      else await stop();
      const of = ["--source", "/file/folder", "--key", "people.csv"];
      const { code, result } = await cli("erase", ...of, "--yes");
      expect(code).toBe(0);
      expect(result).toMatchObject({ isErased: true, parts: 3, splits: isRunning ? 0 : 1 });
      // Its own worker had deleted the vectors of a file that was deleted.
      expect(result.sinks).toMatchObject([{ vectors: isRunning ? 0 : 3, remaining: 0 }]);
      expect(result.sinks[0].manifests).toBeGreaterThanOrEqual(3);
      await stop();
      await tamper(async (call) => {
        const ids = await listed(call);
        expect(ids).toHaveLength(1);
        expect(ids[0]).toContain("other.csv");
      });
      expect(await traces("people.csv")).toEqual([]);
      expect(await traces("other.csv")).not.toEqual([]);
    },
    120_000,
  );

  it("takes one row alone, by the subject that its vectors carry", async () => {
    configure({ parse: { rows: { key: ["name"] } } });
    write("people.csv", "name,town\nada,London\nbob,Ulm\n");
    await start();
    await synced(2);
    await stop();
    const key = '["people.csv","ada"]';
    const { result } = await cli("erase", "--source", "/file/folder", "--key", key, "--yes");
    expect(result).toMatchObject({ isErased: true, parts: 0, sinks: [{ vectors: 1 }] });
    await tamper(async (call) => expect(await listed(call)).toHaveLength(1));
  }, 120_000);

  it("wants a source that somebody knows, and a yes", async () => {
    configure();
    write("ada.md");
    await start();
    await synced(1);
    const wrong = await cli("erase", "--source", "/file/foldr", "--key", "ada.md", "--yes");
    expect(wrong).toMatchObject({
      code: 2,
      error: { code: "cli.unknown-source", fix: "Write /file/folder." },
    });
    const unsure = await cli("erase", "--source", "/file/folder", "--key", "ada.md");
    expect(unsure).toMatchObject({ code: 2, error: { code: "cli.unconfirmed" } });
  }, 60_000);
});
