import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { version, type Chunk, type DocumentUpserted } from "sluice";
import { fakes } from "sluice/testing";
import { describe, expect, it } from "vitest";
import { chunk } from "./chunk.ts";

async function chunksOf(
  text: string,
  mediaType: string,
  signal = new AbortController().signal,
): Promise<readonly Chunk[]> {
  const config = chunk.config.parse({ embedding: { provider: "hash" } });
  const worker = await chunk.open(fakes.context({ config }));
  const document: DocumentUpserted = {
    specversion: "1.0",
    id: "1",
    source: "/file/notes",
    type: "dev.sluice.document.upserted",
    subject: "a.md",
    time: "2026-01-02T03:04:05Z",
    sequence: version({ epoch: 1, position: 2n, rank: 1, tail: 0 }),
    partitionkey: "/file/notes\na.md",
    data: { key: "a.md", text, mediaType, metadata: {}, lineage: [] },
  };
  const [output] = await worker.apply([document], { signal });
  return (output as DocumentUpserted).data.chunks ?? [];
}

/** The longest time for which no timer could run. Node's own monitor misses a single long stop. */
async function watched(work: () => Promise<readonly Chunk[]>) {
  let [longestMs, last] = [0, performance.now()];
  const timer = setInterval(() => {
    longestMs = Math.max(longestMs, performance.now() - last);
    last = performance.now();
  }, 2);
  try {
    const chunks = await work();
    await sleep(10);
    return { longestMs, chunks };
  } finally {
    clearInterval(timer);
  }
}

const filled = (pattern: string, length: number) =>
  pattern.repeat(Math.ceil(length / pattern.length)).slice(0, length);
const nested = (levels: number, line: (level: number) => string) =>
  Array.from({ length: levels }, (_, level) => line(level)).join("");
const sentences = "The river runs under the stone market, and the light is quick. It is paper.\n";

const hostile: Readonly<Record<string, string>> = {
  "a list nested 1,000 deep": nested(1_000, (level) => `${"  ".repeat(level)}- x\n`),
  "a nested list with lazy lines": nested(400, (level) => `${"  ".repeat(level)}- x\nlazy\n`),
  "a numbered list nested deep": nested(400, (level) => `${"   ".repeat(level)}1. x\n\n`),
  "lists up to the bound": nested(2_400, (level) => `${"  ".repeat(level % 31)}- x\n`),
  "5,000 quotes in one": `${">".repeat(5_000)} x`,
  "deep quotes, line by line": `${">".repeat(32)} a\n\n`.repeat(2_000),
  "lazy lines of a quote": `${"> ".repeat(32)}a\n${"lazy\n".repeat(20_000)}`,
  "quotes and lists in turn": `${"> - ".repeat(30)}a\n\n`.repeat(800),
  "100,000 list marks": `${"+ ".repeat(100_000)}x`,
  "100,000 brackets": `${"[".repeat(100_000)}x`,
  "100,000 stars": `${"*".repeat(100_000)}x`,
  "100,000 backticks": `${"`".repeat(100_000)}x`,
  "100,000 tag openers": `${"<a ".repeat(100_000)}x`,
  "a heading of brackets": `# ${"[".repeat(100_000)}\n\nx`,
  "headings of nested marks": `# ${"*_".repeat(490)}x\n\nx\n\n`.repeat(20),
  "4,000 underlined headings": "a\n=\nx\n".repeat(4_000),
  "10,000 fences": "```\nx\n".repeat(10_000),
  "a fence never closed": `\`\`\`\n${filled("call(me);\n", 300_000)}`,
  "a comment never closed": `<!-- ${filled("never closed\n", 300_000)}`,
  "tags never closed": filled("<a\n", 60_000),
  "a table of 400 KB": `| a | b |\n|---|---|\n${filled("| river | market 12.5 |\n", 400_000)}`,
  "a row of 300,000 dashes": `| a |\n|${"-".repeat(300_000)}x\n`,
  "a line of a million characters": filled("word ", 1_000_000),
  "a word of a million characters": "x".repeat(1_000_000),
  "a letter with a million accents": `e${"\u0301".repeat(1_000_000)}`,
  "a million characters of Japanese": filled("猫が窓の外を見ています", 300_000),
  "a list of 120 KB": filled("- item with words\n", 120_000),
  "an item of 120 KB": `- a\n${filled("  b is c.\n\n", 120_000)}`,
  "100,000 blank lines": `x${"\n".repeat(100_000)}x`,
  "carriage returns alone": filled("a\r", 50_000),
  "40,000 short lines": "x\n".repeat(40_000),
  "prose of 700 KB": filled(`${sentences}\n`, 700_000),
  "wrapped prose of 500 KB": filled(sentences, 500_000),
};

describe("chunk, for texts made to hurt", () => {
  const cases = Object.entries(hostile).flatMap(([name, text]) =>
    ["text/markdown", "text/plain"].map((mediaType) => ({ name, text, mediaType })),
  );

  it.each(cases)("neither stops nor holds up the thread: $name ($mediaType)", async (given) => {
    const { text, mediaType } = given;
    const { longestMs, chunks } = await watched(() => chunksOf(text, mediaType));
    expect(longestMs).toBeLessThan(500);

    let covered = 0;
    const lost: string[] = [];
    for (const one of chunks) {
      expect(one.start).toBeGreaterThanOrEqual(covered);
      expect(one.text).toBe(text.slice(one.start, one.end));
      lost.push(text.slice(covered, one.start));
      covered = one.end;
    }
    lost.push(text.slice(covered));
    // What stands in headings is kept as the context of what is below them.
    const isHeading = /heading/.test(given.name) && mediaType === "text/markdown";
    if (!isHeading) expect(lost.join("").replaceAll(/[\s\p{M}]/gu, "")).toBe("");
  });

  it("stops when it is told to", async () => {
    const text = filled(sentences, 1_000_000);
    for (const mediaType of ["text/markdown", "text/plain"])
      await expect(chunksOf(text, mediaType, AbortSignal.timeout(30))).rejects.toMatchObject({
        name: "TimeoutError",
      });
  });

  it("takes little memory, into however many words a line falls", async () => {
    const pack = JSON.stringify(new URL("pack.js", import.meta.url));
    const prose = JSON.stringify(new URL("../../_shared/text/prose.js", import.meta.url));
    const script = `
      const { pack } = await import(${pack});
      const { linesOf } = await import(${prose});
      const text = "> ".repeat(300_000);
      const scale = { room: 200, weigh: (start, end) => end - start, breathe: async () => {} };
      console.log((await pack(text, linesOf(text, 0, text.length), scale)).length);`;
    const small = ["--max-old-space-size=90", "--input-type=module", "--eval", script];
    const { stdout } = await promisify(execFile)(process.execPath, small);
    expect(Number(stdout)).toBeGreaterThan(3_000);
  }, 60_000);
});
