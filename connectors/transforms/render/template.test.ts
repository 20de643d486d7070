import { execFileSync } from "node:child_process";
import type { Json, JsonObject } from "sluice";
import { fakes } from "sluice/testing";
import { describe, expect, it } from "vitest";
import { openEngine, refused } from "../../_shared/liquid/engine.ts";
import { examine } from "../../_shared/liquid/examine.ts";
import { render } from "./render.ts";

async function rendered(template: string, after: JsonObject): Promise<string> {
  const worker = await render.open(fakes.context({ config: render.config.parse({ template }) }));
  const [output] = await worker.apply([fakes.record("1", after)], {
    signal: new AbortController().signal,
  });
  return (output as { readonly data: { readonly text: string } }).data.text;
}

describe("a template", () => {
  const row = {
    id: "9223372036854775807",
    price: "123456.7890",
    rate: 0.1,
    title: " On Tides ",
    live: true,
    none: null,
    tags: ["sea", "moon"],
    author: { name: "Ada", links: [{ rel: "home", href: "/a" }, { href: "/b" }] },
    doc: '{"z": 1, "title": "Inside", "n": 0.30000000000000000001, "e": 1E400, "ok": 12.50, "list": [{"x": 1}]}',
    json_list: '["a", 2]',
    json_text: '"quoted"',
    at: "2024-02-09T08:05:06.123456+02:00",
    day: "2024-02-09",
    naive: "2024-03-31 02:30:00",
    epoch: 1_700_000_000,
    infinite: "infinity",
  };

  it.each([
    [
      "{{ id }} {{ price }} {{ rate }} {{ live }} {{ none }}.",
      "9223372036854775807 123456.7890 0.1 true .",
    ],
    ["{{ title | strip | upcase | append: '!' }}", "ON TIDES!"],
    ["{% for tag in tags %}{{ forloop.index }}:{{ tag }} {% endfor %}", "1:sea 2:moon "],
    [
      "{{ tags | join: ', ' }} {{ tags.size }} {{ tags.first }} {{ tags[1] }}",
      "sea, moon 2 sea moon",
    ],
    ["{{ author.name }} {{ author['name'] }}", "Ada Ada"],
    ["{{ author.links | where: 'rel', 'home' | map: 'href' | join }}", "/a"],
    ["{{ author.links | find: 'href', '/b' | json }}", '{"href":"/b"}'],
    ["{{ author }}", '{"links":[{"href":"/a","rel":"home"},{"href":"/b"}],"name":"Ada"}'],
    ["{{ author | json }}", '{"links":[{"href":"/a","rel":"home"},{"href":"/b"}],"name":"Ada"}'],
    ["{% for pair in author %}{{ pair[0] }} {% endfor %}", "links name "],
    ["{{ doc }}", row.doc],
    ["{{ doc.title }}: {{ doc }}", `Inside: ${row.doc}`],
    [
      "{{ doc.n }} {{ doc.e }} {{ doc.ok }} {{ doc.list[0].x }}",
      "0.30000000000000000001 1E400 12.5 1",
    ],
    ["{% for one in json_list %}{{ one }},{% endfor %}", "a,2,"],
    ["{% for one in ['json_list'] %}{{ one }},{% endfor %}", "a,2,"],
    ["{{ json_list | parse_json | join: '+' }} {{ json_text | parse_json }}", "a+2 quoted"],
    ["{% assign d = doc | parse_json %}{{ d.title }}", "Inside"],
    ["{% assign title = title | strip %}[{{ title }}]", "[On Tides]"],
    ["{% if none %}{% assign title = 'local' %}{% endif %}[{{ title }}]", "[ On Tides ]"],
    ["{% capture both %}{{ id }}/{{ live }}{% endcapture %}{{ both }}", "9223372036854775807/true"],
    [
      "{% unless none %}a{% else %}b{% endunless %}{% case live %}{% when true %}c{% endcase %}",
      "ac",
    ],
    ["{% liquid\n  assign a = rate | times: 10\n  echo a\n%}", "1"],
    ["{% raw %}{{ x }}{% endraw %}{% comment %}{{ y }}{% endcomment %}{% # z %}.", "{{ x }}."],
    ["{% for i in (1..3) reversed %}{{ i }}{% endfor %}", "321"],
    ["{{ at | date: '%F %T.%L %z %Z' }}", "2024-02-09 06:05:06.123 +0000 UTC"],
    ["{{ at | date: '%A %-d. %^b %y, %-I:%M %p %j' }}", "Friday 9. FEB 24, 6:05 AM 040"],
    ["{{ day | date: '%a %e %B %Y' }} {{ day | date }}", "Fri  9 February 2024 2024-02-09"],
    ["{{ naive | date: '%H:%M' }}", "02:30"],
    ["{{ epoch | date: '%F %R' }}", "2023-11-14 22:13"],
    ["{{ infinite | date: '%Y' }} {{ none | date: '%Y' }}.", "infinity ."],
  ])("%s", async (template, text) => {
    expect(await rendered(template, row)).toBe(text);
  });

  it.each([
    ["{{ title }}\n  {{ title | upcse }}", 'line 2, column 3: there is no filter "upcse"'],
    ["{% iff x %}", 'line 1, column 1: there is no tag "iff"'],
    ["a\n\n {% if title %}x", "line 3, column 2: tag {% if title %} not closed"],
    ["{{ title ", 'line 1, column 1: output "{{ title " not closed'],
    ["{% for x of xs %}{% endfor %}", "line 1, column 1: illegal tag"],
    ["{% if a %}{% include 'x' %}{% endif %}", 'the tag "include" is refused: a template reads no'],
    ["{% render 'x' %}", 'the tag "render" is refused'],
    ["{% layout 'x' %}", 'the tag "layout" is refused'],
    ["{% block x %}{% endblock %}", 'the tag "block" is refused'],
    ["{% increment id %}", 'the tag "increment" is refused: it writes into the record'],
    ["{{ xs | sample }}", 'the filter "sample" is refused: its result is left to chance'],
    ["{{ xs | where_exp: 'x', body }}", 'the filter "where_exp" is refused: it runs a text as'],
    ["{{ at | date_to_string }}", 'the filter "date_to_string" is refused: use `date`'],
    ['{% if x %}\n{{ "now" | date: "%Y" }}{% endif %}', 'line 2, column 1: "now" is the clock'],
    ['{% assign y = "today" | upcase | date: "%Y" %}', '"today" is the clock'],
    ["{{ at | date: '%c' }}", 'date knows no "%c"; write %Y'],
    ["{{ at | date: '%10Y' }}", 'date knows no "%1"'],
    ["{{ at | date: '%F', 'Europe/Berlin' }}", "date takes a format and no zone"],
    ["{% for i in (1..n) %}{% endfor %}", "the bounds of (1..n) must be numbers up to 10000"],
    ["{% assign xs = (1..20000) %}", "the bounds of (1..20000) must be numbers"],
    ["{{ xs[(n..3)] }}", "the bounds of (n..3)"],
    ["{{ [name] }}", "[name] chooses a field by a value"],
    ["{{ 'title'.size }}", "'title'.size looks into what is no field"],
  ])("%j is refused offline, with its place", (template, message) => {
    const issues = render.config.safeParse({ template }).error?.issues;
    expect(issues).toEqual([
      expect.objectContaining({ path: ["template"], message: expect.stringContaining(message) }),
    ]);
    expect(issues?.[0]?.message).toMatch(/^line \d+, column \d+: /);
  });

  it("is refused, where it nests too deep for the engine, like any other", () => {
    const template = `${"{% if a %}".repeat(3_000)}${"{% endif %}".repeat(3_000)}`;
    const issues = render.config.safeParse({ template }).error?.issues ?? [];
    expect(issues.map(({ message }) => message)).toEqual([
      "line 1, column 1: its tags nest too deep",
    ]);
  });

  it("tells all that is wrong with it but for its syntax at once", () => {
    const template = "{% for i in (1..n) %}{{ 'now' | date }}{% endfor %}\n{{ [a] }}";
    const issues = render.config.safeParse({ template }).error?.issues ?? [];
    expect(issues.map(({ message }) => message.split(":")[0])).toEqual([
      "line 1, column 1",
      "line 1, column 22",
      "line 2, column 1",
    ]);
  });

  it.each([
    ["plain text", []],
    ["{{ a }} {{ b.c }} {{ d['e'].f }} {{ g[h] }} {{ ['i j'] }}", ["a", "b", "d", "g", "h", "i j"]],
    [
      "{% for a in b %}{{ a.c }}{{ forloop.index }}{{ d }}{% else %}{{ e }}{% endfor %}",
      ["b", "d", "e"],
    ],
    ["{% for a in b.c limit: d offset: e %}{% endfor %}", ["b", "d", "e"]],
    ["{% tablerow a in b cols: c %}{{ a }}{{ tablerowloop.col }}{% endtablerow %}", ["b", "c"]],
    ["{{ a | append: b | default: c, allow_false: d | replace: e.f, g }}", "abcdeg".split("")],
    ["{% assign a = b | plus: c %}{{ a }}", ["a", "b", "c"]],
    ["{% assign a = b %}", ["b"]],
    ["{% capture a %}{{ b }}{% endcapture %}{{ a }}", ["a", "b"]],
    [
      "{% if a and b == c or d contains e %}{{ f }}{% elsif g %}{{ h }}{% else %}{{ i }}{% endif %}",
      "abcdefghi".split(""),
    ],
    ["{% unless a %}{{ b }}{% endunless %}", ["a", "b"]],
    ["{% case a %}{% when b, c %}{{ d }}{% else %}{{ e }}{% endcase %}", "abcde".split("")],
    ["{% liquid\n  if a\n    echo b | append: c\n  endif\n%}", ["a", "b", "c"]],
    ["{% comment %}{{ a }}{% endcomment %}{% raw %}{{ b }}{% endraw %}{{ c }}", ["c"]],
    ["{{ 'a' | append: \"b\" }}{{ 1 }}{{ true }}{{ nil }}{{ empty }}", []],
    ["{% echo a %}{{- b -}}{%- if c -%}{%- endif -%}", ["a", "b", "c"]],
  ])("%s reads %j", (template, names) => {
    const examined = examine(template);
    expect("read" in examined && [...examined.read].toSorted()).toEqual(names);
  });

  // Whatever the analysis makes of a template: what it did not find cannot be in the text.
  it("makes the same text of a record without the fields that it is not said to read", async () => {
    const templates = [
      "{{ title }}{% for tag in tags %}{% assign id = tag %}{{ id }}{% endfor %}",
      "{% if none %}{{ price }}{% else %}{{ author.name }}{% endif %}",
      "{% for price in tags %}{{ price }}{% endfor %}{{ rate }}",
      "{% assign name = 'price' %}{{ author[name] | default: title }}{{ doc.title }}",
      "{{ author.links | where: 'rel', 'home' | map: 'href' | join: title }}",
      "{% capture title %}{{ id }}{% endcapture %}{{ title | append: price }}",
    ];
    for (const template of templates) {
      const examined = examine(template);
      const read = "read" in examined ? examined.read : new Set<string>();
      const known = Object.fromEntries(Object.entries(row).filter(([name]) => read.has(name)));
      expect(await rendered(template, known)).toBe(await rendered(template, row));
    }
  });

  it("makes the same of the same, whatever the order of keys", async () => {
    const template =
      "{{ a }}{{ b | json }}{% for p in c %}{{ p[0] | default: p }};{% endfor %}{{ d.x }}{{ d }}{{ e }}";
    for (let seed = 1; seed <= 200; seed++) {
      const random = generator(seed);
      const fields = Object.fromEntries(["a", "b", "c"].map((name) => [name, value(random, 3)]));
      const x = value(random, 2);
      const record = { ...fields, d: JSON.stringify({ x }), e: "é🐈" };
      const text = await rendered(`.${template}`, record);
      expect(await rendered(`.${template}`, record)).toBe(text);
      expect(await rendered(`.${template}`, shuffled(record, random) as JsonObject)).toBe(text);
    }
  });

  it("makes the same text in every zone and language", () => {
    const code = `
      const { render } = await import(${JSON.stringify(new URL("./render.js", import.meta.url).href)});
      const template = "{{ a | date: '%F %T %A %B %z %s' }}|{{ b | date: '%F %R' }}|{{ c | date: '%F %H' }}|{{ d | upcase }}{{ d | sort_natural }}";
      const worker = await render.open({ config: render.config.parse({ template }), meter() {} });
      const after = { a: "2024-03-31 02:30:00", b: "2024-11-03", c: 1711848600, d: "iI" };
      const event = { type: "dev.sluice.record.upserted", data: { key: 1, after, meta: {} } };
      const [made] = await worker.apply([event], { signal: new AbortController().signal });
      console.log(made.data.text);`;
    const texts = [
      ["UTC", "en_US.UTF-8"],
      ["America/New_York", "de_DE.UTF-8"],
      ["Europe/Berlin", "tr_TR.UTF-8"],
      ["Pacific/Apia", "ar_EG.UTF-8"],
    ].map(([TZ, LANG]) =>
      execFileSync(process.execPath, ["--input-type=module", "-e", code], {
        encoding: "utf8",
        env: { ...process.env, TZ, LANG, LC_ALL: LANG },
      }),
    );
    expect(texts[0]).toBe(
      "2024-03-31 02:30:00 Sunday March +0000 1711852200|2024-11-03 00:00|2024-03-31 01|IIiI\n",
    );
    expect(new Set(texts).size).toBe(1);
  });

  // A newer engine may bring what reads files, clocks or chance: look at it before this list grows.
  it("uses the tags and filters that were looked at, and no others", () => {
    const { liquid, library } = openEngine();
    const offered = [...Object.keys(library.tags), ...Object.keys(library.filters)];
    const known = [
      ..."# assign break case capture comment continue echo for if liquid raw tablerow unless".split(
        " ",
      ),
      ..."abs append array_to_sentence_string at_least at_most base64_decode base64_encode".split(
        " ",
      ),
      ..."capitalize ceil cgi_escape compact concat date default divided_by downcase escape".split(
        " ",
      ),
      ..."escape_once find find_index first floor group_by has hmac_sha256 inspect join json".split(
        " ",
      ),
      ..."jsonify last lstrip map minus modulo newline_to_br normalize_whitespace".split(" "),
      ..."number_of_words plus pop prepend push raw reject remove remove_first remove_last".split(
        " ",
      ),
      ..."replace replace_first replace_last reverse round rstrip sha256 shift size slice".split(
        " ",
      ),
      ..."slugify sort sort_natural split squish strip strip_html strip_newlines sum times".split(
        " ",
      ),
      ..."to_integer truncate truncatewords uniq unshift upcase uri_escape url_decode".split(" "),
      ..."url_encode where xml_escape".split(" "),
    ];
    const allowed = offered.filter((name) => !refused.tags.has(name) && !refused.filters.has(name));
    expect([...new Set(allowed)].toSorted()).toEqual([...new Set(known)].toSorted());
    const open = [...Object.keys(liquid.tags), ...Object.keys(liquid.filters)];
    expect([...new Set(open)].toSorted()).toEqual(
      [...new Set([...known, "parse_json"])].toSorted(),
    );
  });
});

function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function value(random: () => number, depth: number): Json {
  const kind = Math.floor(random() * (depth > 0 ? 7 : 5));
  const size = Math.floor(random() * 5);
  switch (kind) {
    case 0:
      return null;
    case 1:
      return random() < 0.5;
    case 2:
      return Math.round(random() * 1e6) / 1e3;
    case 3:
      return "{{ a }}";
    case 4:
      return String.fromCodePoint(Math.floor(random() * 0xd7ff) + 1);
    case 5:
      return Array.from({ length: size }, () => value(random, depth - 1));
    default:
      return Object.fromEntries(
        Array.from({ length: size }, (_, at) => [
          ["b", "10", "a", "9", "__proto__", "toString", "ü"][Math.floor(random() * 7)] ?? `${at}`,
          value(random, depth - 1),
        ]),
      );
  }
}

function shuffled(value: Json, random: () => number): Json {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map((item: Json) => shuffled(item, random));
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, part]): [string, Json] => [key, shuffled(part, random)])
      .map((entry) => [random(), entry] as const)
      .toSorted(([a], [b]) => a - b)
      .map(([, entry]) => entry),
  );
}
