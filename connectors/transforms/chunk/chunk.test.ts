import type { Chunk, DocumentUpserted } from "sluice";
import { version } from "sluice";
import { fakes, transformConformance } from "sluice/testing";
import { describe, expect, it } from "vitest";
import { embeddedText } from "../../_shared/embedders/embedded-text.ts";
import { describeEmbedding, embeddingConfig } from "../../_shared/embedders/embedding.ts";
import { chunk } from "./chunk.ts";
import { oddText, paragraphs, random, sentence } from "./random-document.ts";

const hash = { provider: "hash" } as const;
const never = new AbortController().signal;

function document(text: string, mediaType = "text/markdown", subject = "a.md"): DocumentUpserted {
  return {
    specversion: "1.0",
    id: `${subject}@1~parse`,
    source: "/file/notes",
    type: "dev.sluice.document.upserted",
    subject,
    time: "2026-01-02T03:04:05Z",
    sequence: version({ epoch: 1, position: 2n, rank: 1, tail: 0 }),
    partitionkey: `/file/notes\n${subject}`,
    data: { key: subject, text, mediaType, metadata: { title: "A" }, lineage: ["parse@1:0"] },
  };
}

type Chunks = (text: string, mediaType?: string) => Promise<readonly Chunk[]>;

async function chunker(config: object = {}): Promise<Chunks> {
  const parsed = chunk.config.parse({ embedding: hash, ...config });
  const worker = await chunk.open(fakes.context({ config: parsed }));
  return async (text, mediaType) => {
    const [output] = await worker.apply([document(text, mediaType)], { signal: never });
    return (output as DocumentUpserted).data.chunks ?? [];
  };
}

const bare = ({ text, context }: Chunk) => (context === undefined ? text : [context, text]);

describe("chunk keeps the contract of a transform", () => {
  const samples = [document("# A\n\nText one."), document("Plain.", "text/plain", "b.txt")];
  const config = { embedding: hash, maxTokens: 50 };
  for (const { name, run } of transformConformance({
    transform: chunk,
    config,
    samples,
    module: new URL("./chunk.js", import.meta.url),
  }))
    it(name, run);
});

describe("chunk", () => {
  it("adds chunks and leaves the document as it was", async () => {
    const worker = await chunk.open(
      fakes.context({ config: chunk.config.parse({ embedding: hash }) }),
    );
    const input = document("# Guide\n\nRun it.");
    const [output] = await worker.apply([input], { signal: never });
    expect(output).toEqual({
      ...input,
      data: {
        ...input.data,
        chunks: [
          {
            id: expect.stringMatching(/^[0-9a-f]{16}~0$/),
            text: "Run it.",
            context: "Guide",
            start: 9,
            end: 16,
          },
        ],
      },
    });
  });

  it("gives no chunks for a text without content", async () => {
    const chunks = await chunker();
    for (const text of ["", " \n\t", "\n\n"]) expect(await chunks(text)).toEqual([]);
  });

  it("refuses a text that falls into too many", async () => {
    const text = "# A\n\none\n\n# B\n\ntwo\n\n# C\n\nthree";
    expect(await (await chunker({ maxChunks: 3 }))(text)).toHaveLength(3);
    await expect((await chunker({ maxChunks: 2 }))(text)).rejects.toMatchObject({
      name: "PoisonError",
      code: "chunk.too-many",
      message: expect.stringContaining("2 chunks"),
    });
  });

  it("puts the heading path before each chunk and starts anew at each heading", async () => {
    const chunks = await chunker();
    const text =
      "intro\n\n# Guide\n\nwelcome\n\n## Install `it`\n\nrun\n\nagain\n\n### Linux\n\napt\n\n## Use\n\nuse";
    expect((await chunks(text)).map(bare)).toEqual([
      "intro",
      ["Guide", "welcome"],
      ["Guide › Install it", "run\n\nagain"],
      ["Guide › Install it › Linux", "apt"],
      ["Guide › Use", "use"],
    ]);
  });

  it("keeps a heading that has nothing below it", async () => {
    const chunks = await chunker();
    expect((await chunks("# Guide\n\n## Soon\n\n## Later\n\ntext\n\n# End")).map(bare)).toEqual([
      ["Guide", "## Soon"],
      ["Guide › Later", "text"],
      "# End",
    ]);
  });

  it("leaves headings in the text without context", async () => {
    const chunks = await chunker({ context: false });
    expect((await chunks("# Guide\n\nwelcome\n\n## Use\n\nuse")).map(bare)).toEqual([
      "# Guide\n\nwelcome",
      "## Use\n\nuse",
    ]);
  });

  it("takes no heading from code, quotes or plain text", async () => {
    const chunks = await chunker();
    const text = "```\n# code\n```\n\n> # quote";
    expect(await chunks(text)).toMatchObject([{ text }]);
    expect(await chunks("# plain\n\ntext", "text/plain")).toMatchObject([
      { text: "# plain\n\ntext" },
    ]);
  });

  it("drops the outer headings of a path that is too long, and keeps the heading itself", async () => {
    const chunks = await chunker();
    const long = "very long heading ".repeat(40).trim();
    const [own, below] = await chunks(`# ${long}\n\nfirst\n\n## Short\n\nsecond`);
    expect(own).not.toHaveProperty("context");
    expect(own?.text).toBe(`# ${long}\n\nfirst`);
    expect(below).toMatchObject({ context: "Short", text: "second" });
  });

  it("never splits code that fits, and splits code that does not at its lines", async () => {
    const chunks = await chunker({ maxTokens: 60 });
    const code = `\`\`\`\n${"let a = 1;\n\n".repeat(4)}\`\`\``;
    const prose = paragraphs(random(1), 4, 4).map((sentences) => sentences.join(" "));
    const whole = await chunks([...prose, code, ...prose].join("\n\n"));
    expect(whole.filter(({ text }) => text.includes(code))).toHaveLength(1);
    const long = await chunks(`\`\`\`\n${"call(me, maybe);\n".repeat(60)}\`\`\``);
    expect(long.length).toBeGreaterThan(3);
    for (const { text } of long.slice(1, -1)) expect(text).toMatch(/^(call\(me, maybe\);\n?)+$/);
  });

  it("splits a long table between its rows", async () => {
    const chunks = await chunker({ maxTokens: 60 });
    const rows = Array.from({ length: 80 }, (_, at) => `| row. ${at} | it is. so |`);
    const table = await chunks(["| a | b |", "|---|---|", ...rows].join("\n"));
    expect(table.length).toBeGreaterThan(5);
    for (const { text } of table) expect(text).toMatch(/^\|.*\|$/s);
  });

  it("splits a long list between its items", async () => {
    const chunks = await chunker({ maxTokens: 60 });
    const items = paragraphs(random(2), 40, 2).map((sentences) => `- ${sentences.join(" ")}`);
    for (const { text } of await chunks(items.join("\n"))) expect(text).toMatch(/^- /);
  });

  it("splits a long paragraph between sentences, wrapped or not", async () => {
    const chunks = await chunker({ maxTokens: 60 });
    const [sentences = []] = paragraphs(random(3), 1, 1).map(() =>
      paragraphs(random(4), 30, 1).flat(),
    );
    for (const { text } of await chunks(sentences.join(" "))) expect(text).toMatch(/^[A-Z].*\.$/s);
    const wrapped = sentences.join(" ").replaceAll(/(.{60}) /g, "$1\n");
    for (const { text } of await chunks(wrapped)) expect(text).toMatch(/^[A-Z].*\.$/s);
  });

  it("names equal texts by their occurrence and is blind to white space and heading", async () => {
    const chunks = await chunker();
    const text = "# A\n\nsame text\n\n# B\n\nsame\ntext\n\n# C\n\nsame  text";
    const ids = (await chunks(text)).map(({ id }) => id);
    const [first = ""] = ids;
    expect(ids).toEqual([first, first.replace("~0", "~1"), first.replace("~0", "~2")]);
  });

  it("refuses more tokens than the model sees", async () => {
    await expect(
      chunker({ maxTokens: 300, embedding: { provider: "local" } }),
    ).rejects.toMatchObject({
      name: "ConfigError",
      code: "chunk.max-tokens",
      fix: "Set maxTokens to at most 254, or leave it out.",
    });
  });

  it("refuses events it does not take", async () => {
    const worker = await chunk.open(fakes.context({ config: chunk.config.parse({}) }));
    const message = { specversion: "1.0", id: "1", source: "/x", type: "com.example.other" };
    await expect(worker.apply([message], { signal: never })).rejects.toMatchObject({
      code: "transform.unexpected-event",
    });
  });

  it.each([
    ["word", "x".repeat(300_000)],
    ["sentence", "word ".repeat(60_000)],
    ["paragraph", "A few words. ".repeat(25_000)],
    ["list", "- item with words\n".repeat(15_000)],
  ])("takes linear time for an endless %s", async (_name, text) => {
    // Quadratic, this would take minutes: the runner's limit is the assertion.
    const chunks = await (await chunker())(text);
    expect(chunks.length).toBeGreaterThan(50);
  });
});

describe.each([
  ["hash", hash, 60],
  ["local", { provider: "local" } as const, 12],
])("chunk, for any text (%s)", (_name, embedding, seeds) => {
  it.each([
    ["text/markdown", { maxTokens: 40 }, false],
    ["text/markdown", { context: false }, true],
    ["text/markdown", {}, false],
    ["text/plain", { maxTokens: 16 }, true],
  ])("keeps its promises: %s %j", async (mediaType, config, holdsAll) => {
    const chunks = await chunker({ ...config, embedding });
    const { maxTokens, countTokens } = await describeEmbedding(
      embeddingConfig.parse(embedding),
      fakes.context({ config: {} }),
    );
    const special = countTokens("");
    for (let seed = 1; seed <= seeds; seed++) {
      const text = oddText(seed);
      const made = await chunks(text, mediaType);
      expect(await chunks(text, mediaType)).toEqual(made);
      expect(new Set(made.map(({ id }) => id)).size).toBe(made.length);
      let covered = 0;
      for (const one of made) {
        expect(one.text).toBe(text.slice(one.start, one.end));
        expect(one.text).toBe(one.text.trim());
        expect(one.text.isWellFormed()).toBe(true);
        expect(one.start).toBeGreaterThanOrEqual(covered);
        expect(countTokens(one.text) - special).toBeLessThanOrEqual(
          "maxTokens" in config ? config.maxTokens : 200,
        );
        expect(countTokens(embeddedText(one))).toBeLessThanOrEqual(maxTokens);
        if (holdsAll) expect(lostIn(text.slice(covered, one.start))).toBe("");
        covered = one.end;
      }
      if (holdsAll) expect(lostIn(text.slice(covered))).toBe("");
    }
  });
});

/** What of a stretch between two chunks a reader would miss: nothing that is invisible on its own. */
function lostIn(gap: string): string {
  return gap.replaceAll(/[\s\u200b\ufeff\p{M}]/gu, "");
}

describe("chunk, after an edit", () => {
  const edits = {
    "a sentence more": (sentences: string[], at: number, next: () => number) =>
      sentences.toSpliced(at, 0, sentence(next)),
    "a sentence less": (sentences: string[], at: number) => sentences.toSpliced(at, 1),
    "another sentence": (sentences: string[], at: number, next: () => number) =>
      sentences.with(at, sentence(next)),
  };
  const shapes = {
    paragraphs: { count: 40, maxSentences: 8 },
    "long paragraphs": { count: 8, maxSentences: 50 },
    "lines of one sentence": { count: 100, maxSentences: 1 },
  };
  const render = (all: readonly (readonly string[])[]) =>
    all.map((sentences) => sentences.join(" ")).join("\n\n");

  async function changed(chunks: Chunks, before: string, after: string) {
    const [old, young] = [await chunks(before), await chunks(after)].map(
      (list) => new Set(list.map(({ id }) => id)),
    );
    const missingIn = (from = new Set<string>(), other = new Set<string>()) =>
      [...from].filter((id) => !other.has(id)).length;
    return { created: missingIn(young, old), gone: missingIn(old, young) };
  }

  for (const [shape, { count, maxSentences }] of Object.entries(shapes))
    for (const [name, edit] of Object.entries(edits))
      it(`renews two chunks at most in nine of ten cases, and never many: ${name}, ${shape}`, async () => {
        const chunks = await chunker();
        let local = 0;
        const seeds = 60;
        for (let seed = 1; seed <= seeds; seed++) {
          const next = random(seed * 7_919);
          const all = paragraphs(next, count, maxSentences);
          const which = Math.floor(next() * count);
          const sentences = all[which] ?? [];
          const edited = edit(sentences, Math.floor(next() * sentences.length), next);
          const { created, gone } = await changed(
            chunks,
            render(all),
            render(all.with(which, edited).filter(({ length }) => length > 0)),
          );
          expect(Math.max(created, gone)).toBeLessThanOrEqual(5);
          if (created <= 2 && gone <= 2) local++;
        }
        expect(local / seeds).toBeGreaterThanOrEqual(0.9);
      });

  it.each(["first", "middle", "last"])(
    "leaves a document of a hundred chunks alone but for the touched: %s paragraph",
    async (place) => {
      const chunks = await chunker();
      const next = random(42);
      const all = paragraphs(next, 240, 8);
      expect((await chunks(render(all))).length).toBeGreaterThanOrEqual(100);
      const at = { first: 0, middle: 120, last: 239 }[place] ?? 0;
      for (const after of [
        all.with(at, [...(all[at] ?? []), "A closing remark."]),
        all.toSpliced(at, 0, ["A paragraph that was not here before."]),
        all.toSpliced(at, 1),
      ]) {
        const { created, gone } = await changed(chunks, render(all), render(after));
        expect(created).toBeLessThanOrEqual(2);
        expect(gone).toBeLessThanOrEqual(2);
      }
    },
  );

  it("renews only the section below a heading that is inserted", async () => {
    const chunks = await chunker();
    const all = paragraphs(random(7), 60, 8);
    const blocks = all.map((sentences) => sentences.join(" "));
    const { created } = await changed(
      chunks,
      blocks.join("\n\n"),
      blocks.toSpliced(30, 0, "## New heading").join("\n\n"),
    );
    expect(created).toBeLessThanOrEqual(2);
  });
});
