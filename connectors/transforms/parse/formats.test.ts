import { upserted, version, type DocumentUpserted, type JsonObject, type Output } from "sluice";
import { fakes, transformConformance } from "sluice/testing";
import { describe, expect, it } from "vitest";
import { docxOf, paragraph, pdfOf } from "./files.test.data.ts";
import { parse } from "./parse.ts";

const docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

const record = (after: JsonObject, subject = "a") =>
  upserted({
    source: "/s3/files",
    key: { key: subject },
    subject,
    version: version({ epoch: 1, position: 2n, rank: 1, tail: 0 }),
    time: "2026-01-02T03:04:05Z",
    meta: {},
    op: "create",
    after: { uri: `s3://b/${subject}`, ...after },
  });
const bytes = (content: Buffer | string, mediaType: string, more: JsonObject = {}) => ({
  mediaType,
  contentBase64: Buffer.from(content).toString("base64"),
  ...more,
});

async function outputOf(after: JsonObject, config: object = {}): Promise<Output> {
  const worker = await parse.open(fakes.context({ config: parse.config.parse(config) }));
  try {
    const run = { signal: new AbortController().signal };
    const [output = null] = await worker.apply([record(after)], run);
    return output;
  } finally {
    await worker.close?.();
  }
}
async function documentOf(after: JsonObject, config?: object): Promise<DocumentUpserted["data"]> {
  const output = await outputOf(after, config);
  if (!output || output === "skip" || !("type" in output)) throw new Error("no document");
  return (output as DocumentUpserted).data;
}
async function rowsOf(after: JsonObject, rows: object = {}, more: object = {}) {
  const output = await outputOf(after, { rows, ...more });
  if (!Array.isArray(output)) throw new Error("not split");
  return (output as DocumentUpserted[]).map(({ subject, data }) => ({
    part: (JSON.parse(subject) as string[])[1],
    ...data,
  }));
}
const html = async (text: string) => (await documentOf({ mediaType: "text/html", text })).text;
const refusal = (code: string, message: RegExp) => ({
  name: "PoisonError",
  code,
  message: expect.stringMatching(message),
  fix: expect.stringMatching(/^\w+ /),
});

describe("HTML", () => {
  it("becomes Markdown, with its title", async () => {
    const text = `<!doctype html><html><head><title> A  page </title><style>p{}</style></head>
      <body><nav><a href="/">Home</a></nav><script>alert("no")</script>
      <h1>One &amp; only</h1><p>First <b>bold</b>
      line<br>second <a href="x">link</a>.</p>
      <ul><li>a<li>b <ul><li>c</li></ul></li></ul><ol><li>x</li><li><p>y</p><p>z</p></li></ol>
      <blockquote><p>said</p></blockquote>
      <pre><code>if (a) {
  b &lt; c
}</code></pre><img alt="a cat" src="c.png"><p hidden>secret</p><template>t</template></body></html>`;
    const data = await documentOf({ mediaType: "text/html", text });
    expect(data.metadata).toMatchObject({ title: "A page", mediaType: "text/html" });
    expect(data.mediaType).toBe("text/markdown");
    expect(data.text).toBe(
      [
        "# One & only",
        "First bold line second link.",
        "- a\n- b\n  - c",
        "1. x\n2. y",
        "  z",
        "> said",
        "```\nif (a) {\n  b < c\n}\n```",
        "a cat",
      ].join("\n\n"),
    );
  });

  it("keeps tables row by row, whatever they are used for", async () => {
    expect(
      await html(
        "<table><tr><th>Name<th>Age<tr><td>Ada <b>L</b></td><td>36</td></tr><tr><td>a|b<td></table>after",
      ),
    ).toBe("| Name | Age |\n| --- | --- |\n| Ada L | 36 |\n| a\\|b |  |\n\nafter");
    expect(
      await html(
        "<table><tr><td>menu</td><td><table><tr><td>x</td></tr></table>body</td></tr></table>",
      ),
    ).toContain("body");
  });

  it("marks what only looks like Markdown", async () => {
    expect(await html("<p># no</p><p>- no</p><p>1. no</p><p>fine # yes</p>")).toBe(
      "\\# no\n\n\\- no\n\n\\1. no\n\nfine # yes",
    );
  });

  it("takes its title from the first heading, else from its name", async () => {
    const title = async (text: string) =>
      (await documentOf({ mediaType: "text/html", text })).metadata["title"];
    expect(await title("<p>x</p><h2>Second</h2>")).toBe("Second");
    expect(await title("<p>x</p>")).toBe("a");
    expect(await title("<svg><title>icon</title></svg><h1>Real</h1>")).toBe("icon");
  });

  it.each([
    ["its own word", Buffer.from('<meta charset="iso-8859-1"><p>naïve</p>', "latin1")],
    ["what browsers assume", Buffer.from("<p>naïve</p>", "latin1")],
    ["UTF-8", Buffer.from("<p>naïve</p>")],
  ])("is decoded by %s", async (_how, content) => {
    expect((await documentOf(bytes(content, "text/html"))).text).toBe("naïve");
  });

  it.each([
    ["unclosed tags", "<div><p><b>".repeat(2_000) + "deep"],
    ["closing tags of nothing", "</div></p>".repeat(100_000) + "deep"],
    ["a million small ones", "<i>x</i>".repeat(200_000)],
    ["an endless attribute", `<p title="${"x".repeat(1_000_000)}">deep</p>`],
    ["an endless comment", `<!--${"-".repeat(1_000_000)}-->deep`],
    ["lists in lists", `${"<ul><li>".repeat(2_000)}deep`],
    ["entities", "&lt;".repeat(200_000)],
  ])("is read whatever its %s", async (_what, text) => {
    const since = performance.now();
    expect((await html(text)).length).toBeGreaterThan(0);
    expect(performance.now() - since).toBeLessThan(5_000);
  });

  it("is refused where it nests beyond all reason", async () => {
    await expect(html("<div>".repeat(20_000))).rejects.toMatchObject(
      refusal("parse.invalid", /nest deeper/),
    );
  });
});

describe("JSON", () => {
  it("becomes lines, with its fields for metadata", async () => {
    const text = JSON.stringify({
      title: "Order",
      lines: [{ sku: "a", n: 2 }, "note"],
      empty: {},
      none: null,
      ok: true,
    });
    const data = await documentOf(
      { mediaType: "application/vnd.shop+json", text },
      { metadata: ["ok", "lines"] },
    );
    expect(data.text).toBe(
      "title: Order\nlines[0].sku: a\nlines[0].n: 2\nlines[1]: note\nok: true",
    );
    expect(data.metadata).toMatchObject({ title: "Order", ok: true, lines: expect.any(String) });
  });
  it("is read however deep it nests, and refused where it is none", async () => {
    const deep = `${"[".repeat(50_000)}1${"]".repeat(50_000)}`;
    await documentOf({ mediaType: "application/json", text: deep });
    await expect(
      documentOf({ mediaType: "application/json", text: '{"secret": ' }),
    ).rejects.toMatchObject(refusal("parse.invalid", /^((?!secret).)*not JSON/));
  });
  it("of a long name with many values is refused where it becomes too much text", async () => {
    const text = `{"${"n".repeat(10_000)}": [${"1,".repeat(1_000)}1]}`;
    await expect(
      documentOf({ mediaType: "application/json", text }, { maxInflatedBytes: 1_000_000 }),
    ).rejects.toMatchObject(refusal("parse.too-large", /1000000 characters/));
  });
});

describe("PDF", () => {
  const bomb = (packed: number) => pdfOf(["x".repeat(8_000_000)], undefined, packed);
  it("becomes the text of its pages, with its title", async () => {
    const data = await documentOf(
      bytes(pdfOf(["First page", "Second page"], "A report"), "application/pdf"),
    );
    expect(data.text).toBe("First page\n\nSecond page");
    expect(data.metadata).toMatchObject({ title: "A report", mediaType: "application/pdf" });
    expect(data.mediaType).toBe("text/plain");
  });
  it.each([1, 2])("is read when it is packed %d times", async (times) => {
    const content = pdfOf(["First page", "Second page"], undefined, times);
    expect((await documentOf(bytes(content, "application/pdf"))).text).toBe(
      "First page\n\nSecond page",
    );
  });
  it.each([
    ["parse.no-text", /1 pages/, pdfOf([""]), {}],
    ["parse.too-large", /unpack to more/, bomb(1), { maxInflatedBytes: 1_000_000 }],
    ["parse.too-large", /unpack to more/, bomb(2), { maxInflatedBytes: 1_000_000 }],
    ["parse.too-large", /3 pages/, pdfOf(["a", "b", "c"]), { maxPages: 2 }],
    ["parse.too-large", /bytes/, pdfOf(["a"]), { maxBytes: 100 }],
    ["parse.invalid", /cannot be read/, Buffer.from("no pdf at all"), {}],
    ["parse.invalid", /cannot be read/, Buffer.alloc(0), {}],
    [
      "parse.too-slow",
      /100 ms/,
      pdfOf(Array<string>(500).fill("word ".repeat(2_000))),
      { timeoutMs: 100, maxPages: 1_000 },
    ],
  ])("is refused with %s", async (code, message, content, config) => {
    await expect(documentOf(bytes(content, "application/pdf"), config)).rejects.toMatchObject(
      refusal(code, message),
    );
  });
  it("that was refused does not harm the next", async () => {
    const options = parse.config.parse({ timeoutMs: 400 });
    const worker = await parse.open(fakes.context({ config: options }));
    const run = { signal: new AbortController().signal };
    const slow = pdfOf(Array<string>(500).fill("word ".repeat(4_000)));
    try {
      await expect(
        worker.apply([record(bytes(slow, "application/pdf"))], run),
      ).rejects.toMatchObject({ code: "parse.too-slow" });
      const next = await parse.open(fakes.context({ config: parse.config.parse({}) }));
      const [output] = await next.apply([record(bytes(pdfOf(["fine"]), "application/pdf"))], run);
      expect(output).toMatchObject({ data: { text: "fine" } });
      await next.close?.();
    } finally {
      await worker.close?.();
    }
  });
  it("stops at once when it is told to", async () => {
    const worker = await parse.open(fakes.context({ config: parse.config.parse({}) }));
    const aborter = new AbortController();
    const slow = pdfOf(Array<string>(500).fill("word ".repeat(4_000)));
    const applying = worker.apply([record(bytes(slow, "application/pdf"))], aborter);
    const since = performance.now();
    aborter.abort();
    await expect(applying).rejects.toBe(aborter.signal.reason);
    expect(performance.now() - since).toBeLessThan(1_000);
    await worker.close?.();
  });
});

describe("DOCX", () => {
  it("becomes Markdown, with its headings and tables", async () => {
    const cell = (text: string) => `<w:tc>${paragraph(text)}</w:tc>`;
    const row = (...cells: string[]) => `<w:tr>${cells.map(cell).join("")}</w:tr>`;
    const body = [
      paragraph("The plan", "Heading1"),
      paragraph("Words &amp; more."),
      `<w:tbl>${row("a", "b")}${row("1", "2")}</w:tbl>`,
    ].join("");
    const data = await documentOf(bytes(docxOf(body), docx));
    expect(data.text).toBe("# The plan\n\nWords & more.\n\n| a | b |\n| --- | --- |\n| 1 | 2 |");
    expect(data.metadata).toMatchObject({ title: "The plan", mediaType: docx });
  });
  it.each([
    [
      "parse.too-large",
      /unpack/,
      docxOf(paragraph("x".repeat(2_000_000))),
      { maxInflatedBytes: 1_000_000 },
    ],
    [
      "parse.too-large",
      /unpack/,
      docxOf(paragraph("x"), { "word/a.xml": " ".repeat(2_000_000) }),
      { maxInflatedBytes: 1_000_000 },
    ],
    // Its text may lie in a file of any name.
    [
      "parse.too-large",
      /unpack/,
      docxOf(paragraph("x"), { "word/a.png": " ".repeat(2_000_000) }),
      { maxInflatedBytes: 1_000_000 },
    ],
    ["parse.invalid", /cannot be read/, Buffer.from("PK no zip"), {}],
    ["parse.invalid", /cannot be read/, docxOf(paragraph("x")).subarray(0, 300), {}],
    ["parse.invalid", /cannot be read/, docxOf("<w:p>"), {}],
  ])("is refused with %s", async (code, message, content, config) => {
    await expect(documentOf(bytes(content, docx), config)).rejects.toMatchObject(
      refusal(code, message),
    );
  });
});

describe("rows", () => {
  const csv = (text: string) => ({ mediaType: "text/csv", text });
  it("of a CSV file are documents of their own, named by their key", async () => {
    const text = '\ufeffid,name,note\r\n7,"Ada, ""L""","two\r\nlines"\r\n\r\n8,Bob,\r\n';
    const rows = await rowsOf(csv(text), { key: ["id"] }, { metadata: ["name"] });
    expect(rows).toMatchObject([
      {
        part: "7",
        key: [{ key: "a" }, "7"],
        text: 'id: 7\nname: Ada, "L"\nnote: two\nlines',
        metadata: {
          name: 'Ada, "L"',
          title: 'Ada, "L"',
          uri: "s3://b/a",
          row: "7",
          mediaType: "text/csv",
        },
        mediaType: "text/plain",
      },
      { part: "8", text: "id: 8\nname: Bob" },
    ]);
  });
  it("keep their names while others come, go and change", async () => {
    const keys = async (text: string, rows: object = {}) =>
      (await rowsOf(csv(text), rows)).map(({ part }) => part);
    const before = await keys("a,b\n1,x\n2,y\n2,y\n");
    const after = await keys("a,b\n0,new\n2,y\n1,x\n2,y\n");
    expect(new Set(before).size).toBe(3);
    expect(before.filter((key) => !after.includes(key))).toEqual([]);
    expect(await keys("a,b\n1,x\n1,y\n", { key: ["a"] })).toEqual(["1", "1~2"]);
    expect(await keys("a\n1\n1\n1~2\n", { key: ["a"] })).toEqual(["1", "1~2", "1~2~1"]);
    expect(await keys("a,b\n1,x\n", { key: ["a", "b"] })).toEqual(['["1","x"]']);
  });
  it("may stand between tabs or what is told, in columns with poor names", async () => {
    const tsv = { mediaType: "text/tab-separated-values", text: "a\ta\t\n1\t2\t3" };
    expect((await rowsOf(tsv))[0]?.text).toBe("a: 1\ncolumn 2: 2\ncolumn 3: 3");
    const semicolons = await rowsOf(csv("a;b\n1;2"), { delimiter: ";", text: ["b", "absent"] });
    expect(semicolons[0]?.text).toBe("b: 2");
  });
  it.each(["utf16le", "latin1"] as const)(
    "are read in the charset of the file, %s",
    async (charset) => {
      const text = `${charset === "latin1" ? "" : "\ufeff"}id,x\n1,naïve`;
      const after = bytes(
        Buffer.from(text, charset),
        charset === "latin1" ? "text/csv; charset=latin1" : "text/csv",
      );
      expect((await rowsOf(after))[0]?.text).toBe("id: 1\nx: naïve");
    },
  );
  it("of an NDJSON file may be any values", async () => {
    const text = '{"id":1,"tags":["x","y"]}\n\n"just text"\n{"id":2}';
    const rows = await rowsOf({ uri: "s3://b/a.jsonl", text });
    expect(rows.map(({ text }) => text)).toEqual([
      "id: 1\ntags[0]: x\ntags[1]: y",
      "just text",
      "id: 2",
    ]);
  });
  it.each([
    ["parse.invalid", /row 2 has no "id"/, csv("id,x\n1,a\n,b"), { key: ["id"] }],
    ["parse.invalid", /line 3 .*CSV_/, csv("id,x\n1,a\n2,b,c"), {}],
    ["parse.invalid", /CSV_QUOTE/, csv('id,x\n1,"a'), {}],
    [
      "parse.invalid",
      /line 2: it is not JSON/,
      { mediaType: "application/x-ndjson", text: "{}\n{" },
      {},
    ],
    ["parse.too-large", /more than 2 rows/, csv("id\n1\n2\n3"), { maxRows: 2 }],
    ["parse.too-large", /3 columns/, csv("a,b,c\n1,2,3"), { maxColumns: 2 }],
    ["parse.too-large", /1200 columns/, csv("a,".repeat(1_199)), {}],
  ])("are refused together with %s", async (code, message, after, rows) => {
    await expect(rowsOf(after, rows)).rejects.toMatchObject(refusal(code, message));
  });
  it("whose columns have long names are refused where they become too much text", async () => {
    const text = `${"a".repeat(1_000)},b\n${"1,2\n".repeat(200)}`;
    const limit = { maxInflatedBytes: 100_000 };
    await expect(rowsOf(csv(text), {}, limit)).rejects.toMatchObject(
      refusal("parse.too-large", /100000 characters/),
    );
    expect(await rowsOf(csv(text), { text: ["b"] }, limit)).toHaveLength(200);
  });
  it("stay one text where nothing is said of them", async () => {
    const text = "a,b\n1,2";
    expect((await documentOf(csv(text))).text).toBe(text);
    expect(await rowsOf(csv("a,b\n"))).toEqual([]);
  });
});

describe("parse keeps the contract of a transform that splits", () => {
  const samples = [
    record({ mediaType: "text/csv", text: "id,x\n1,a\n2,b" }, "a.csv"),
    record({ mediaType: "text/html", text: "<h1>x</h1>" }, "b.html"),
    record(bytes(pdfOf(["page"]), "application/pdf"), "c.pdf"),
  ];
  const config = { rows: { key: ["id"] } };
  for (const { name, run } of transformConformance({
    transform: parse,
    config,
    samples,
    module: new URL("./parse.js", import.meta.url),
  }))
    it(name, run);
});

describe("what a store says of an object", () => {
  it("may become metadata", async () => {
    const after = { mediaType: "text/plain", text: "x", userMetadata: { author: "ada" } };
    expect((await documentOf(after, { metadata: ["author"] })).metadata).toMatchObject({
      author: "ada",
    });
  });
  it("is refused where it claims to be packed and is not", async () => {
    const after = { ...bytes("x", "text/plain"), contentEncoding: "gzip" };
    await expect(documentOf(after)).rejects.toMatchObject(
      refusal("parse.invalid", /packed \(gzip\)/),
    );
  });
});
