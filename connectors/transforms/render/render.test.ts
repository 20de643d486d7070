import { type Applicable, type DocumentUpserted, type JsonObject, type Output } from "sluice";
import { fakes, transformConformance } from "sluice/testing";
import { describe, expect, it } from "vitest";
import { render } from "./render.ts";

interface Given {
  readonly unchanged?: readonly string[];
  readonly meta?: JsonObject;
}

function record(after: JsonObject, given: Given = {}, subject = '["1"]') {
  const event = fakes.record(subject, after);
  return { ...event, data: { ...event.data, op: "update" as const, ...given } };
}

function open(config: object, context = fakes.context({ config: render.config.parse(config) })) {
  return render.open(context);
}

async function outputs(config: object, events: readonly Applicable[]): Promise<readonly Output[]> {
  return (await open(config)).apply(events, { signal: new AbortController().signal });
}

async function output(config: object, after: JsonObject, given?: Given): Promise<Output> {
  const [only = null] = await outputs(config, [record(after, given)]);
  return only;
}

async function document(config: object, after: JsonObject): Promise<DocumentUpserted["data"]> {
  const made = await output(config, after);
  if (made === null || made === "skip" || !("type" in made)) throw new Error("none");
  if (made.type !== "dev.sluice.document.upserted") throw new Error("no document");
  return (made as DocumentUpserted).data;
}

const article = {
  id: 1,
  title: "On tides",
  body: "The moon pulls.",
  author: "Ada",
  published_at: "2024-01-15T12:30:00Z",
};
const template = "{{ title }}\n\n{{ body }}";

describe("render keeps the contract of a transform", () => {
  const samples = [
    record(article),
    record({ ...article, body: "" }, {}, '["2"]'),
    record({ ...article, title: null, body: " " }, {}, '["3"]'),
    record({ id: 1, title: "x" }, { unchanged: ["body"] }, '["4"]'),
  ];
  const config = { template, metadata: ["title"] };
  for (const { name, run } of transformConformance({
    transform: render,
    config,
    samples,
    module: new URL("./render.js", import.meta.url),
  }))
    it(name, run);
});

describe("render", () => {
  it("makes a document with the record's identity", async () => {
    const input = {
      ...record(article),
      audience: "search",
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    };
    const config = { template, metadata: ["author", "published_at"] };
    expect(await outputs(config, [input])).toEqual([
      {
        ...input,
        type: "dev.sluice.document.upserted",
        data: {
          key: '["1"]',
          text: "On tides\n\nThe moon pulls.",
          mediaType: "text/plain",
          metadata: { author: "Ada", published_at: "2024-01-15T12:30:00Z" },
          lineage: [],
        },
      },
    ]);
  });

  it.each(["text/plain", "text/markdown", "text/html"])(
    "says that the text is %s",
    async (type) => {
      expect((await document({ template, mediaType: type }, article)).mediaType).toBe(type);
    },
  );

  it.each([
    ["", null],
    [" \n\t\u{FEFF}\u{A0}", "\r\n"],
    [null, null],
  ])("no longer wants a record whose text is blank: %j, %j", async (title, body) => {
    expect(await output({ template }, { title, body })).toBeNull();
    expect(await output({ fields: ["title", "body"] }, { title, body })).toBeNull();
    expect(await output({}, { title, body, n: 1 })).toBeNull();
  });

  describe("without a template", () => {
    const row = {
      b: "Second.",
      a: "First.",
      n: 12,
      list: ["x", "y"],
      o: { z: 1, y: [2] },
      no: null,
    };

    it.each([
      [{ fields: ["a", "b"] }, "First.\n\nSecond."],
      [{ fields: ["b", "a"] }, "Second.\n\nFirst."],
      [{ fields: ["b", "no", "a"], labels: true }, "b: Second.\n\na: First."],
      [{ fields: ["n", "list", "o"] }, '12\n\nx, y\n\n{"y":[2],"z":1}'],
      [{ fields: ["o.y", "o.z"], labels: true }, "o.y: 2\n\no.z: 1"],
      [{}, "First.\n\nSecond."],
      [{ labels: true }, "a: First.\n\nb: Second."],
    ])("%j makes paragraphs in a fixed order", async (config, text) => {
      expect((await document(config, row)).text).toBe(text);
      const reversed = Object.fromEntries(Object.entries(row).toReversed());
      expect((await document(config, reversed)).text).toBe(text);
    });
  });

  describe("metadata", () => {
    const row = {
      title: "T",
      text: "s",
      int8: "9007199254740993",
      n: 0.1,
      flag: false,
      none: null,
      tags: ["a", null, "b"],
      counts: [1, 2.5, true],
      empty: [],
      nested: [["a"], 1],
      author: { name: "Ada", born: null, ids: [1] },
      doc: '{ "lang": "en", "big": 12345678901234567890, "price": 1.50, "deep": {"b": 1, "a": 2}, "no": null }',
    };
    const of = async (metadata: unknown, missing = "error") =>
      (await document({ fields: ["title"], metadata, missing }, row)).metadata;

    it("keeps texts, numbers and booleans as they are, lists as texts, and leaves nulls out", async () => {
      const metadata = ["text", "int8", "n", "flag", "none", "tags", "counts", "empty"];
      expect(await of(metadata)).toEqual({
        text: "s",
        int8: "9007199254740993",
        n: 0.1,
        flag: false,
        tags: ["a", "b"],
        counts: ["1", "2.5", "true"],
        empty: [],
      });
    });

    it("reaches into objects, lists and JSON texts, and leaves out what is not there", async () => {
      const metadata = [
        "author.name",
        "author.born",
        "author.died",
        "author.name.first",
        "author.ids.0",
        "doc.lang",
        "doc.big",
        "doc.price",
        "doc.no",
        "doc.constructor",
        "title.length",
      ];
      expect(await of(metadata)).toEqual({
        "author.name": "Ada",
        "author.ids.0": 1,
        "doc.lang": "en",
        "doc.big": "12345678901234567890",
        "doc.price": 1.5,
      });
    });

    it("makes JSON text of the rest, whatever the order of its keys", async () => {
      expect(await of(["nested", "author", "doc.deep"])).toEqual({
        nested: '[["a"],1]',
        author: '{"born":null,"ids":[1],"name":"Ada"}',
        "doc.deep": '{"a":2,"b":1}',
      });
    });

    it("keeps a JSON text that it need not look into to the letter", async () => {
      expect(await of(["doc"])).toEqual({ doc: row.doc });
    });

    it("renames", async () => {
      expect(await of({ author: "author.name", price: "doc.price" })).toEqual({
        author: "Ada",
        price: 1.5,
      });
    });
  });

  describe("a field that is not there", () => {
    const poison = (message: RegExp) => ({
      name: "PoisonError",
      code: "render.missing-field",
      message: expect.stringMatching(message),
      fix: expect.stringMatching(/^Correct the /),
    });

    it.each([
      [
        { template: "{{ titel }}" },
        /record \["1"\] of \/test has no field "titel"; it has "doc", "t/,
      ],
      [{ template: "{% if titel %}x{% endif %}y" }, /"titel"/],
      [{ template: "{{ title }}{% for x in xs %}{{ ys }}{% endfor %}" }, /"xs", "ys"/],
      [{ fields: ["title", "body"] }, /"body"/],
      [{ fields: ["title"], metadata: ["author.name"] }, /"author"/],
      [{ fields: ["doc.titel"] }, /has no doc\.titel\.$/],
      [{ template: "a\n{{ doc.titel }}" }, /has no doc\.titel, wanted at line 2, column 4/],
      [{ template: "{{ title.titel }}" }, /title\.titel/],
      [{ template: "{{ doc.list[7] }}" }, /doc\.list\.7/],
    ])("%j is an error that names it", async (config, message) => {
      const row = { title: "T", doc: '{"title":"T","list":[]}' };
      await expect(output(config, row)).rejects.toMatchObject(poison(message));
    });

    it("says so where there are none at all", async () => {
      await expect(output({ template: "{{ a }}" }, {})).rejects.toMatchObject(
        poison(/it has none/),
      );
    });

    it.each([
      [{ template: "x{% if doc.titel %}{{ doc.titel }}{% endif %}" }, "x"],
      [{ template: '{{ doc.titel | default: "none" }}' }, "none"],
      [{ template: "x{{ none.of.that }}" }, "x"],
      [{ template: "x{{ nul.title }}" }, "x"],
      [{ template: "x{{ titel }}{{ doc.a.b.c }}", missing: "empty" }, "x"],
      [{ fields: ["title", "titel", "doc.titel"], missing: "empty" }, "T"],
    ])("%j makes do without", async (config, text) => {
      const row = { title: "T", doc: '{"title":"T"}', none: null, nul: "null" };
      expect((await document(config, row)).text).toBe(text);
    });
  });

  describe("warns once, after a hundred records,", () => {
    async function said(config: object, after: JsonObject, records: number) {
      const context = fakes.context({ config: render.config.parse(config) });
      const worker = await open({}, context);
      for (let at = 0; at < records; at++)
        await worker.apply([record(after)], { signal: new AbortController().signal });
      return context.lines;
    }

    it("of what none of them had", async () => {
      const config = {
        template: "{{ title }}{{ titel }}",
        metadata: ["author.nam", "author.name", "author.died"],
        missing: "empty",
      };
      const row = { title: "T", author: { name: "Ada", died: null } };
      expect(await said(config, row, 99)).toEqual([]);
      expect(await said(config, row, 300)).toEqual([
        {
          level: "warn",
          fields: {
            missing: ["titel", "author.nam"],
            records: 100,
            fix: expect.stringMatching(/^Correct /),
          },
          message: "no record had a field that is named",
        },
      ]);
    });

    it("unless they had all", async () => {
      expect(await said({ template, metadata: ["author"] }, article, 300)).toEqual([]);
    });
  });

  describe("what the origin did not send", () => {
    const row = { id: 1, title: "T" };

    it.each([
      [{ template }, "skip"],
      [{ template: "{{ title }}{% if id == 2 %}{{ body }}{% endif %}" }, "skip"],
      [{ template: "{{ title }}{% for b in body.parts %}{{ b }}{% endfor %}" }, "skip"],
      [{ fields: ["title", "body.text"] }, "skip"],
      [{ fields: ["title"], metadata: { b: "body.lang" } }, "skip"],
      [{}, "skip"],
      [{ template: "{{ title }}", metadata: ["id"] }, "document"],
      [{ fields: ["title"] }, "document"],
    ])("with %j makes a %s", async (config, made) => {
      const one = await output(config, row, { unchanged: ["body"] });
      expect(one !== null && one !== "skip" && "data" in one ? one.data : one).toEqual(
        made === "skip" ? "skip" : expect.objectContaining({ text: "T" }),
      );
    });

    it("is counted", async () => {
      const context = fakes.context({ config: render.config.parse({ template }) });
      const worker = await open({}, context);
      const event = record(row, { unchanged: ["body"] });
      await worker.apply([event, record(article), event], { signal: new AbortController().signal });
      expect([...context.counters]).toEqual([["skipped{reason=unchanged}", 2]]);
    });

    it("because it is too long is a dead letter that names it", async () => {
      const given = { meta: { oversized: ["body", "notes"] } };
      await expect(output({ template }, row, given)).rejects.toMatchObject({
        name: "PoisonError",
        code: "render.oversized",
        message: expect.stringMatching(/"body" of record \["1"\] of \/test is longer/),
      });
      await expect(output({}, row, given)).rejects.toMatchObject({ code: "render.oversized" });
      await expect(
        output({ fields: ["title"], metadata: ["notes"] }, row, given),
      ).rejects.toMatchObject({ code: "render.oversized" });
      expect(await output({ fields: ["title"] }, row, given)).toMatchObject({
        data: { text: "T" },
      });
    });

    it("and is too long besides is skipped: its delete follows", async () => {
      const given = { unchanged: ["body"], meta: { oversized: ["title"] } };
      expect(await output({ template }, { id: 1 }, given)).toBe("skip");
    });
  });

  it("names the failing ones of a batch and only them", async () => {
    const good = record(article);
    const bad = record({ title: "x" });
    await expect(outputs({ template }, [good, bad, good, bad])).rejects.toMatchObject({
      name: "PartialError",
      code: "transform.partial",
      failures: new Map([
        [1, expect.objectContaining({ code: "render.missing-field" })],
        [3, expect.objectContaining({ code: "render.missing-field" })],
      ]),
    });
  });

  it("refuses events it does not take", async () => {
    const message = { specversion: "1.0", id: "1", source: "/x", type: "com.example.other" };
    for (const event of [message, fakes.document("1", "text")])
      await expect(outputs({ template }, [event])).rejects.toMatchObject({
        code: "transform.unexpected-event",
      });
  });

  it("does not open with a template that was never checked", async () => {
    const config = { ...(render.config.parse({}) as object), template: "{% if %}" };
    await expect(render.open(fakes.context({ config }))).rejects.toMatchObject({
      name: "ConfigError",
      code: "render.template",
      message: expect.stringMatching(/^render: line 1, column \d+: .+\.$/),
    });
  });

  it.each([
    [{ template: "x", fields: ["a"] }, "not both"],
    [{ template: "x", labels: true }, "belongs to `fields`"],
    [{ fields: [] }, ">=1"],
    [{ fields: ["a..b"] }, "names joined by dots"],
    [{ fields: [""] }, "names joined by dots"],
    [{ metadata: ["$price"] }, "does not begin with $"],
    [{ metadata: { $price: "price" } }, "does not begin with $"],
    [{ metadata: { price: "" } }, "names joined by dots"],
    [{ missing: "ignore" }, "empty"],
    [{ mediaType: "text/rtf" }, "text/html"],
    [{ template: "x".repeat(70_000) }, "65536"],
    [{ template: "" }, ">=1"],
  ])("refuses the config %j", (config, named) => {
    const parsed = render.config.safeParse(config);
    expect(JSON.stringify(parsed.error?.issues)).toContain(named);
  });
});
