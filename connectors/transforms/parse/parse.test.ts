import { upserted, version, type DocumentUpserted, type JsonObject, type Output } from "sluice";
import { fakes, transformConformance } from "sluice/testing";
import { describe, expect, it } from "vitest";
import { parse } from "./parse.ts";

function record(after: JsonObject, subject = "notes/a.md") {
  return {
    ...upserted({
      source: "/file/notes",
      key: subject,
      subject,
      version: version({ epoch: 1, position: 2n, rank: 1, tail: 0 }),
      time: "2026-01-02T03:04:05Z",
      meta: {},
      op: "create",
      after,
      audience: "search",
    }),
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  };
}

async function outputs(
  events: Parameters<Awaited<ReturnType<typeof parse.open>>["apply"]>[0],
  config: object = {},
): Promise<readonly Output[]> {
  const worker = await parse.open(fakes.context({ config: parse.config.parse(config) }));
  return worker.apply(events, { signal: new AbortController().signal });
}

async function document(after: JsonObject, config?: object): Promise<DocumentUpserted["data"]> {
  const [output] = await outputs([record(after)], config);
  if (!output || output === "skip" || !("type" in output)) throw new Error("nothing, or many");
  if (output.type !== "dev.sluice.document.upserted") throw new Error("no document");
  return (output as DocumentUpserted).data;
}

const markdown = { uri: "file:///notes/a%20b.md", mediaType: "text/markdown" };
const base64 = (text: string, encoding: BufferEncoding = "utf8") =>
  Buffer.from(text, encoding).toString("base64");

describe("parse keeps the contract of a transform", () => {
  const samples = [
    record({ ...markdown, text: "# Hello\n\nWorld" }),
    record({ uri: "file:///b.txt", mediaType: "text/plain", text: "plain" }, "b.txt"),
  ];
  const config = { metadata: ["size"] };
  const poison = record(
    { uri: "file:///c.zip", mediaType: "application/zip", text: "PK" },
    "c.zip",
  );
  for (const { name, run } of transformConformance({
    transform: parse,
    config,
    samples,
    poison,
    module: new URL("./parse.js", import.meta.url),
  }))
    it(name, run);
});

describe("parse", () => {
  it("makes a document with the record's identity", async () => {
    const input = record({ ...markdown, text: "# Hello\n\nWorld", modified: "2026-01-01" });
    const [output] = await outputs([input]);
    expect(output).toEqual({
      ...input,
      type: "dev.sluice.document.upserted",
      data: {
        key: "notes/a.md",
        text: "# Hello\n\nWorld",
        mediaType: "text/markdown",
        metadata: {
          uri: "file:///notes/a%20b.md",
          title: "Hello",
          modified: "2026-01-01",
          mediaType: "text/markdown",
        },
        lineage: [],
      },
    });
  });

  it.each([
    ["the first heading", "intro\n\nBig *news* `now`\n===\n\n# Later", "Big news now"],
    ["not what looks like a heading in code", "```\n# no\n```\n\n## Yes", "Yes"],
    ["the front matter's title", '---\ntitle: "Given: it"\n---\n# Other', "Given: it"],
    [
      "a heading with its links",
      "# [The][home] [Project]\n\n[home]: /x\n[project]: /y",
      "The Project",
    ],
    ["else the file's name", "just text", "a b.md"],
  ])("takes as title %s", async (_name, text, title) => {
    expect((await document({ ...markdown, text })).metadata).toMatchObject({ title });
  });

  it("names plain text by its file, whatever its first line", async () => {
    const { metadata } = await document({ uri: "s3://b/x/notes.txt?v=1", text: "# No heading" });
    expect(metadata).toMatchObject({ title: "notes.txt", mediaType: "text/plain" });
  });

  it("takes simple front matter off and keeps the fields asked for", async () => {
    const text =
      "---\nauthor: Ada\ntags: [a, 'b c']\nyear: 2024\ncode: 007\ndraft: false\nnested:\n  x: 1\nhidden: no\n---\n\nBody";
    const wanted = ["author", "tags", "year", "code", "draft", "nested", "missing", "constructor"];
    const data = await document({ ...markdown, text }, { metadata: wanted });
    expect(data.text).toBe("\nBody");
    expect(data.metadata).toEqual({
      uri: markdown.uri,
      title: "a b.md",
      mediaType: "text/markdown",
      author: "Ada",
      tags: ["a", "b c"],
      year: 2024,
      code: "007",
      draft: false,
    });
  });

  it.each(["---\n\nprose\n\n---\nmore", "---\nprose without an end", "text\n---\na: b\n---\n"])(
    "takes thematic breaks for what they are: %j",
    async (text) => {
      expect((await document({ ...markdown, text })).text).toBe(text);
    },
  );

  it("keeps fields of the record, nested ones as JSON", async () => {
    const after = { ...markdown, text: "x", size: 12, owner: { id: 1 }, labels: ["a"], gone: null };
    const { metadata } = await document(after, { metadata: ["size", "owner", "labels", "gone"] });
    expect(metadata).toMatchObject({ size: 12, owner: '{"id":1}', labels: ["a"] });
    expect(metadata).not.toHaveProperty("gone");
  });

  it("mends line ends, byte order mark, NUL and lone surrogates", async () => {
    const { text } = await document({ ...markdown, text: "\u{FEFF}a\r\nb\rc\0\uD800" });
    expect(text).toBe("a\nb\nc\u{FFFD}\u{FFFD}");
  });

  it("decodes bytes, as UTF-8 or in the charset that is stated", async () => {
    const contentBase64 = base64("\u{FEFF}naïve 🐈");
    expect((await document({ ...markdown, contentBase64 })).text).toBe("naïve 🐈");
    const latin = { contentBase64: base64("naïve", "latin1"), uri: "/x" };
    const { text, mediaType } = await document({
      ...latin,
      mediaType: 'Text/Plain; charset="ISO-8859-1"',
    });
    expect([text, mediaType]).toEqual(["naïve", "text/plain"]);
  });

  it("tells the media type by the file's name when a store did not know it", async () => {
    const after = { uri: "s3://b/a.MD", mediaType: "binary/octet-stream", text: "x" };
    expect((await document(after)).mediaType).toBe("text/markdown");
  });

  it.each([
    ["quotes", ">".repeat(100_000)],
    ["list marks", "+ ".repeat(100_000)],
    ["quotes and blank lines", "> a\n\n".repeat(3_000)],
    ["marks in a heading", `# ${"*_".repeat(100_000)}`],
    ["brackets", "[a\n".repeat(30_000)],
    ["white space in a field", `---\na: x${" ".repeat(60_000)}y\n---\n`],
    ["front matter without an end", `---\na: b\n${"x: y\n".repeat(300_000)}`],
    ["line ends", "\r".repeat(1_000_000)],
  ])("is not held up by endless %s", async (_name, text) => {
    const since = performance.now();
    await document({ ...markdown, text }, { metadata: ["a"] });
    expect(performance.now() - since).toBeLessThan(2_000);
  });

  it("never cuts a line end or a character when it cleans a long text", async () => {
    for (const [given, expected] of [
      ["\r\n", "\n"],
      ["🐈", "🐈"],
    ] as const)
      for (const before of ["", "x"]) {
        const text = before + given.repeat(100_000);
        expect((await document({ ...markdown, text })).text).toBe(
          before + expected.repeat(100_000),
        );
      }
  });

  it("makes an empty document of an empty file", async () => {
    expect((await document({ ...markdown, text: "" })).text).toBe("");
  });

  it.each([
    ["parse.unsupported", "image/png", { uri: "/a.png", mediaType: "image/png", text: "" }],
    ["parse.unsupported", "unknown media type", { uri: "/a.constructor", text: "" }],
    ["parse.unsupported", "without its content", { uri: "/a.md" }],
    ["parse.invalid", "utf-8", { uri: "/a.md", contentBase64: base64("é", "latin1") }],
    ["parse.invalid", "klingon", { mediaType: "text/plain;charset=klingon", contentBase64: "" }],
  ])("refuses with %s and names %s", async (code, named, after) => {
    await expect(outputs([record(after)])).rejects.toMatchObject({
      name: "PoisonError",
      code,
      message: expect.stringContaining(named),
      fix: expect.stringMatching(/^\w+ /),
    });
  });

  it("names the failing ones of a batch and only them", async () => {
    const good = record({ ...markdown, text: "fine" });
    const bad = record({ uri: "/a.png", mediaType: "image/png" });
    await expect(outputs([good, bad, good, bad])).rejects.toMatchObject({
      name: "PartialError",
      code: "transform.partial",
      failures: new Map([
        [1, expect.objectContaining({ code: "parse.unsupported" })],
        [3, expect.objectContaining({ code: "parse.unsupported" })],
      ]),
    });
  });

  it("refuses events it does not take", async () => {
    const message = { specversion: "1.0", id: "1", source: "/x", type: "com.example.other" };
    await expect(outputs([message])).rejects.toMatchObject({ code: "transform.unexpected-event" });
  });
});
