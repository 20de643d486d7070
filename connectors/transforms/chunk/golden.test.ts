import { createHash } from "node:crypto";
import { version, type Chunk, type DocumentUpserted } from "sluice";
import { fakes } from "sluice/testing";
import { describe, expect, it } from "vitest";
import { chunk } from "./chunk.ts";
import { paragraphs, random } from "./random-document.ts";

const guide = `# Guide

Read this *first*. It explains [how to install](install.md) the thing, and why.

## Install

1. Download it.
2. Run it:

   \`\`\`sh
   # not a heading
   install --now
   \`\`\`

3. Check that it runs:
   - on Linux, with \`ps\`
   - elsewhere, by looking
     at the window

> **Note** The first run takes long.
> Later ones do not.

Options
-------

| option | default | |
|---|---|---|
| \`size\` | 10 | How many. |
| \`name\` | none | What it is called. |

<details>
<summary>More</summary>
Hidden words.
</details>

### Soon

### Later

***

Not yet.

    indented code

[install]: install.md
`;

const next = random(11);
const lines = (count: number) => paragraphs(next, count, 2).map((sentences) => sentences.join(" "));

/** Everything that is longer than what the parser sees at once. */
const reference = [
  "# Reference",
  ...lines(40),
  "## Changes",
  lines(120)
    .map((line, at) => `- ${line}${at % 9 === 0 ? `\n  - ${lines(1).join("")}\n    more\n` : ""}`)
    .join("\n"),
  "## Steps",
  `1. First\n\n${lines(90)
    .map((line) => `   ${line}\n`)
    .join("\n")}\n2. Second`,
  "## Code",
  `\`\`\`ts\n${lines(150).join("\n\n# no heading\n")}\n\`\`\``,
  "## Table",
  `| a | b |\n|---|---|\n${lines(150)
    .map((line, at) => `| ${at} | ${line} |`)
    .join("\n")}`,
  "## Quote",
  lines(120)
    .map((line) => `> ${line}`)
    .join("\n>\n"),
  "## Wrapped",
  lines(150).join("\n"),
  "<!--",
  lines(80).join("\n\n"),
  "-->",
  "## End",
  ...lines(5),
].join("\n\n");

const prose = paragraphs(next, 400, 9)
  .map((sentences) => sentences.join(" "))
  .join("\n\n");

async function chunksOf(text: string): Promise<readonly Chunk[]> {
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
    data: { key: "a.md", text, mediaType: "text/markdown", metadata: {}, lineage: [] },
  };
  const [output] = await worker.apply([document], { signal: new AbortController().signal });
  return (output as DocumentUpserted).data.chunks ?? [];
}

describe("chunk", () => {
  // Another result embeds everything again: if it is meant, raise the version of the transform.
  it.each([
    ["a guide", guide, 5, "b831f89f35d7b499"],
    ["a reference", reference, 175, "12608977d794ab9d"],
    ["prose", prose, 218, "353b0d33bbe2cc78"],
  ])("cuts %s as it always did", async (_name, text, count, digest) => {
    const chunks = await chunksOf(text);
    const lines = chunks.map(
      ({ id, start, end, context = "" }) => `${id} ${start} ${end} ${context}\n`,
    );
    expect(chunks).toHaveLength(count);
    expect(createHash("sha256").update(lines.join("")).digest("hex").slice(0, 16)).toBe(digest);
  });
});
