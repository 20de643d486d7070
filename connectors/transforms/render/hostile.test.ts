import type { JsonObject } from "sluice";
import { fakes } from "sluice/testing";
import { describe, expect, it } from "vitest";
import { render } from "./render.ts";

async function made(config: object, after: JsonObject, signal = new AbortController().signal) {
  const worker = await render.open(fakes.context({ config: render.config.parse(config) }));
  const [output] = await worker.apply([fakes.record("1", after)], { signal });
  return (output as { readonly data: { readonly text: string; readonly metadata: object } }).data;
}

const parsed = (json: string) => JSON.parse(json) as JsonObject;

describe("a value", () => {
  it.each([
    "{{ secret }}",
    "{% include '/etc/passwd' %}",
    "{%- raw -%}{% endraw %}",
    "{% assign secret = 1 %}",
    "}}{{ secret }}{{",
    "%}{% break %}",
    "{{ 'now' | date }}",
    "${PINECONE_API_KEY}",
  ])("that looks like template code is text: %s", async (value) => {
    const row = { value, list: [value], doc: JSON.stringify({ value }), secret: "leaked" };
    const template =
      "{{ value }}|{% for v in list %}{{ v }}{% endfor %}|{{ doc.value }}|{% capture c %}{{ value }}{% endcapture %}{{ c }}|{{ value | append: value }}";
    const { text, metadata } = await made({ template, metadata: ["value", "doc.value"] }, row);
    expect(text).toBe(`${value}|${value}|${value}|${value}|${value}${value}`);
    expect(metadata).toEqual({ value, "doc.value": value });
    expect((await made({ fields: ["value", "doc.value"] }, row)).text).toBe(`${value}\n\n${value}`);
  });

  it("in a filter's argument names nothing but an item's own", async () => {
    const row = { list: [{ a: 1 }], by: "constructor", at: "secret", secret: "leaked" };
    const template =
      "x{{ list | map: by | join }}{{ list | where: at }}{{ list | group_by: at | map: 'name' }}{{ list | sum: by }}";
    expect((await made({ template }, row)).text).toBe("x0");
    const { text } = await made({ template: "x{{ list | where: at, 'leaked' | size }}" }, row);
    expect(text).toBe("x0");
  });

  it("reaches nothing of JavaScript's", async () => {
    const row = { o: {}, list: [1], text: "t", n: 1 };
    for (const owner of ["o", "list", "text", "n"])
      for (const name of ["constructor", "__proto__", "toString", "valueOf", "prototype", "at"])
        await expect(made({ template: `{{ ${owner}.${name} }}` }, row)).rejects.toMatchObject({
          code: "render.missing-field",
        });
  });

  it("may have any name", async () => {
    const after = parsed(
      '{"__proto__": "p", "constructor": {"name": "c"}, "toString": "t", "size": "s", "o": {"__proto__": {"x": 1}, "toString": 1, "valueOf": 2, "toLiquid": 3, "next": 4, "then": 5, "length": 6}}',
    );
    const template =
      "{{ __proto__ }}{{ constructor.name }}{{ toString }}{{ size }}{{ o.__proto__.x }}{{ o.toString }} {{ o }} {{ o | append: '.' }}";
    const o =
      '{"__proto__":{"x":1},"length":6,"next":4,"then":5,"toLiquid":3,"toString":1,"valueOf":2}';
    const metadata = { a: "__proto__", b: "o.__proto__.x", c: "o" };
    expect(await made({ template, metadata }, after)).toMatchObject({
      text: `pcts11 ${o} ${o}.`,
      metadata: { a: "p", b: 1, c: o },
    });
    expect((await made({ labels: true }, after)).text).toBe(
      "__proto__: p\n\nsize: s\n\ntoString: t",
    );
    const renamed = await made(
      { fields: ["size"], metadata: parsed('{"__proto__": "size"}') },
      after,
    );
    expect(Object.getPrototypeOf(renamed.metadata)).toBe(Object.prototype);
  });

  it("leaves no NUL and no half a character in what is made of it", async () => {
    const row = { a: "a\0b\uD800", cat: "🐈", url: "%00", doc: '{"t":"\\u0000\\ud83d"}' };
    const template = "{{ a }}{{ cat | split: '' | first }}{{ url | url_decode }}{{ doc.t }}";
    const { text, metadata } = await made({ template, metadata: ["a", "doc.t"] }, row);
    expect(text).toBe("a\u{FFFD}b\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}");
    expect(metadata).toEqual({ a: "a\u{FFFD}b\u{FFFD}", "doc.t": "\u{FFFD}\u{FFFD}" });
  });

  it("of any script comes through to the letter", async () => {
    const text = "naïve Ω 你好 👩‍👩‍👧‍👦 e\u{301} \u{202E}rtl\u{202C} \u{FEFF}x\r\n\u{2028}";
    expect((await made({ template: "{{ text }}.", metadata: ["text"] }, { text })).text).toBe(
      `${text}.`,
    );
  });

  it("of a megabyte is rendered", async () => {
    const body = "lorem ipsum <b>dolor</b> ".repeat(42_000);
    const template = "{{ body | strip_html | upcase | strip }}|{{ body }}";
    const { text } = await made({ template, metadata: ["body"] }, { body });
    expect(text.endsWith(`|${body}`)).toBe(true);
    expect((await made({}, { body, "a b": "x" })).text).toBe(`x\n\n${body}`);
  });

  it.each([
    ["{".repeat(1_000_000)],
    ["[".repeat(1_000_000)],
    [`{"${'\\"'.repeat(500_000)}`],
    [`[${"0".repeat(1_000_000)}`],
    [`{"n":${"9".repeat(1_000_000)}}`],
    [`{"n":1${"0".repeat(500_000)}1.${"0".repeat(500_000)}1}`],
    [`{"n":[${"1e5,".repeat(200_000)}1]`],
    [" ".repeat(1_000_000)],
  ])("that looks like JSON does not hold anybody up: %.20s", async (doc) => {
    const since = performance.now();
    const config = { template: "x{{ doc.a.b }}", metadata: ["doc.n"], missing: "empty" };
    const { text } = await made(config, { doc });
    expect(text).toBe("x");
    expect(performance.now() - since).toBeLessThan(2_000);
  });

  it.each([
    ["nests deeper", `${"[".repeat(5_000)}${"]".repeat(5_000)}`],
    ["holds more", JSON.stringify(Array.from({ length: 200_000 }, () => 1))],
  ])("that %s than can be looked through is a dead letter", async (message, doc) => {
    const expected = {
      name: "PoisonError",
      code: "render.failed",
      message: expect.stringContaining(message),
    };
    const value = JSON.parse(doc) as JsonObject[string];
    await expect(made({ template: "x{{ doc[0] }}" }, { doc })).rejects.toMatchObject(expected);
    await expect(made({ template: "x{{ value }}" }, { value })).rejects.toMatchObject(expected);
    const inList = { value: [{ value }], x: "x" };
    await expect(made({ fields: ["value"] }, inList)).rejects.toMatchObject(expected);
    await expect(made({ fields: ["x"], metadata: ["value"] }, inList)).rejects.toMatchObject(
      expected,
    );
  });
});

describe("a template that asks too much", () => {
  const list = Array.from({ length: 5_000 }, (_, at) => `item ${at}`);
  const body = "x".repeat(1_000_000);

  it.each([
    ["2000000 steps", "{% for a in list %}{% for b in list %}{{ b }}{% endfor %}{% endfor %}"],
    ["2000000 steps", "{% for a in list %}{% if list contains body %}{% endif %}{% endfor %}"],
    ["2000000 steps", "{% for a in list %}{% for b in list %}{% endfor %}{% endfor %}"],
    ["67108864 characters", "{% for a in list %}{{ body }}{% endfor %}"],
    [
      "67108864 characters",
      "{% capture c %}{% for a in list %}{{ body }}{% endfor %}{% endcapture %}",
    ],
    [
      "67108864 characters",
      "{% for a in list %}{% assign body = body | append: body %}{% endfor %}",
    ],
    [
      "67108864 characters",
      "{% for a in list %}{% assign list = list | concat: list %}{% endfor %}",
    ],
    ["67108864 characters", "{{ body | replace: 'x', body }}"],
  ])("for more than %s makes a dead letter: %s", async (what, template) => {
    await expect(made({ template }, { list, body })).rejects.toMatchObject({
      name: "PoisonError",
      code: "render.failed",
      message: expect.stringMatching(new RegExp(`(takes|makes) more than ${what}.*line 1, column`)),
    });
  });

  it("lets others work meanwhile, and stops when it is told to", async () => {
    const aborter = new AbortController();
    let turns = 0;
    const timer = setInterval(() => {
      turns += 1;
      if (turns === 3) aborter.abort(new Error("stop"));
    }, 1);
    const template = "{% for a in list %}{% for b in list %}{{ b }}{% endfor %}{% endfor %}";
    await expect(made({ template }, { list }, aborter.signal)).rejects.toThrow("stop");
    clearInterval(timer);
  });

  it("where a filter cannot work on a value names the place", async () => {
    await expect(
      made({ template: "a\n{{ a | url_decode }}" }, { a: "%E0%A4%A" }),
    ).rejects.toMatchObject({
      code: "render.failed",
      message: expect.stringContaining("line 2, column 1"),
      fix: expect.stringMatching(/^Mend /),
    });
    await expect(made({ template: "{{ a | parse_json }}" }, { a: "{" })).rejects.toMatchObject({
      message: expect.stringContaining("parse_json: the text is no JSON"),
    });
  });
});
