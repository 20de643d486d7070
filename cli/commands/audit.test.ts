import { mkdtempSync, readFileSync, rmSync, writeFileSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startLocalPinecone } from "../../connectors/sinks/pinecone/local/server.ts";
import { runCli, startCli, until, type Cli } from "../run.test.data.ts";

let dir = "";
let running: Cli | undefined;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sluice-audit-"));
  mkdirSync(join(dir, "notes"));
});
afterEach(async () => {
  await stop();
  rmSync(dir, { recursive: true, force: true });
});

const words = "river stone lantern harbour copper meadow signal winter thread orchard".split(" ");
const text = (name: string, count: number) =>
  Array.from({ length: count }, (_, n) =>
    [`# ${name} ${n}`, `${name} ${n} ${words.join(" ")} ${words[n % 10]} ${n * 7}`].join("\n\n"),
  ).join("\n\n");

function write(name: string, count = 3): void {
  writeFileSync(join(dir, "notes", name), text(name, count));
}

function configure(over: { readonly chunk?: object; readonly embedding?: object } = {}): void {
  const embedding = { provider: "hash", dimensions: 64, ...over.embedding };
  writeFileSync(
    join(dir, "sluice.json"),
    JSON.stringify({
      project: "audit",
      connectors: [
        { name: "folder", source: "file", to: "notes", config: { path: "notes", rescanMs: 1_000 } },
        {
          name: "search",
          sink: "pinecone",
          from: "notes",
          transforms: [{ use: "parse" }, { use: "chunk", config: over.chunk ?? {} }],
          config: { index: "notes", local: "pinecone", embedding },
        },
      ],
    }),
  );
}

async function start(): Promise<void> {
  running = startCli(dir, ["start", "--json"]);
  await until(
    async () => (await cli("status")).result?.processes?.[0]?.connectors?.length === 2,
    () => running?.stderr() ?? "",
  );
}

async function stop(): Promise<void> {
  running?.signal("SIGTERM");
  await running?.ended;
  running = undefined;
}

interface Answer {
  readonly code: number | null;
  readonly ok: boolean;
  // oxlint-disable-next-line typescript/no-explicit-any -- what a command answers, looked at by path
  readonly result?: any;
  readonly error?: { readonly code: string; readonly fix?: string };
}

async function cli(...args: readonly string[]): Promise<Answer> {
  const { code, stdout, stderr } = await runCli(dir, [...args, "--json"]);
  if (stdout === "") throw new Error(stderr);
  return { code, ...(JSON.parse(stdout) as Omit<Answer, "code">) };
}

/** Resolves when the sink has handled what the folder holds. */
async function synced(documents: number): Promise<void> {
  await until(
    async () => {
      const { result } = await cli("verify", "search", "--no-sources", "--sample", "0");
      return result?.documents === documents && result?.unsettled === 0;
    },
    () => running?.stderr() ?? "",
  );
}

/** Changes the index past the sink. */
async function tamper(
  change: (call: (path: string, body?: object) => Promise<unknown>) => Promise<void>,
): Promise<void> {
  const server = await startLocalPinecone({
    host: "127.0.0.1",
    port: 0,
    dir: join(dir, "pinecone"),
  });
  try {
    await change(async (path, body) => {
      const response = await fetch(`${server.url}/i/notes${path}`, {
        method: body ? "POST" : "GET",
        headers: { "api-key": "test" },
        ...(body && { body: JSON.stringify(body) }),
      });
      return response.json();
    });
  } finally {
    await server.close();
  }
}

const listed = async (call: (path: string) => Promise<unknown>): Promise<readonly string[]> => {
  const { vectors = [] } = (await call("/vectors/list")) as { vectors?: { id: string }[] };
  return vectors.map(({ id }) => id);
};

describe("verify", () => {
  it("finds an index exact, also while it changes, and compares it with the folder", async () => {
    configure();
    for (let n = 0; n < 20; n++) write(`note-${n}.md`);
    await start();
    await synced(20);
    let round = 0;
    const changing = setInterval(() => write(`note-${++round % 20}.md`, 1 + (round % 7)), 50);
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
        expect(code).toBe(0);
      }
    } finally {
      clearInterval(changing);
    }
  }, 120_000);

  it("names what is missing, stale, orphaned and of an old lineage, and repairs it through the queue", async () => {
    configure();
    for (let n = 0; n < 12; n++) write(`note-${n}.md`);
    await start();
    await synced(12);
    await tamper(async (call) => {
      const ids = await listed(call);
      const of = (name: string) => ids.filter((id) => id.includes(`${name}#`));
      const [gone = ""] = of("note-1.md");
      await call("/vectors/delete", { ids: [gone] });
      const [changed = "", ...others] = of("note-2.md");
      await call("/vectors/update", { id: changed, setMetadata: { text: "somebody else's" } });
      const fetched = (await call(`/vectors/fetch?ids=${encodeURIComponent(others[0] ?? "")}`)) as {
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
    let after: Answer | undefined;
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
  }, 120_000);

  it("sees what a sink missed of its source, and refuses a repair that would delete much", async () => {
    configure();
    for (let n = 0; n < 30; n++) write(`note-${n}.md`);
    await start();
    await synced(30);
    await stop();
    // While nothing runs, the folder changes: nobody was told.
    write("note-0.md", 7);
    write("new.md");
    for (let n = 10; n < 28; n++) rmSync(join(dir, "notes", `note-${n}.md`));
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

describe("plan", () => {
  it("estimates texts, tokens and cost of a first run, and writes nothing", async () => {
    configure();
    for (let n = 0; n < 5; n++) write(`note-${n}.md`, 4);
    writeFileSync(join(dir, "notes", "copy.md"), text("note-0.md", 4));
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
      rmSync(join(dir, "notes", "ada.md"));
      // Nothing of it was ever written: only the letter holds it.
      writeFileSync(join(dir, "notes", "secret.bin"), Buffer.from([0, 1, 2, 3]));
      await until(
        async () => (await cli("status")).result.deadLetters.search === 1,
        () => running?.stderr() ?? "",
      );
      if (!isRunning) await stop();
      const receiptFile = join(dir, "receipt.json");
      const of = ["--source", "/file/folder", "--key", "ada.md"];
      const erased = await cli("erase", ...of, "--yes", "--receipt", receiptFile);
      expect(erased.code).toBe(0);
      expect(erased.result).toMatchObject({
        record: { source: "/file/folder", subject: "ada.md" },
        isErased: true,
        deadLetters: 0,
        notErasable: [],
        sinks: [{ sink: "search", remaining: 0 }],
      });
      expect(erased.result.sinks[0].cachedEmbeddings).toBeGreaterThan(0);
      expect(JSON.parse(readFileSync(receiptFile, "utf8"))).toEqual(erased.result);
      const letter = await cli("erase", "--source", "/file/folder", "--key", "secret.bin", "--yes");
      expect(letter.result).toMatchObject({ isErased: true, deadLetters: 1 });
      if (!isRunning) await start();
      await until(
        async () => (await cli("verify", "search")).result.documents === 2,
        () => running?.stderr() ?? "",
      );
      await stop();
      await tamper(async (call) => {
        const ids = await listed(call);
        expect(ids.length).toBe(6);
        expect(ids.filter((id) => id.includes("ada"))).toEqual([]);
      });
      const database = readFileSync(join(dir, ".sluice", "sluice.db"), "latin1");
      expect(database).toContain("bob.md");
    },
    120_000,
  );

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
