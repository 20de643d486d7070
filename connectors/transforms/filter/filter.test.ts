import { upserted, version, type JsonObject } from "sluice";
import { fakes, transformConformance } from "sluice/testing";
import { describe, expect, it } from "vitest";
import { filter } from "./filter.ts";

function record(after: JsonObject, unchanged?: readonly string[]) {
  return upserted({
    source: "/postgres/shop/public.articles",
    key: { id: 1 },
    subject: '["1"]',
    version: version({ epoch: 1, position: 2n, rank: 1, tail: 0 }),
    time: "2026-01-02T03:04:05Z",
    meta: {},
    op: "update",
    after,
    ...(unchanged && { unchanged }),
  });
}

async function kept(config: object, event: ReturnType<typeof record>): Promise<boolean> {
  const worker = await filter.open(fakes.context({ config: filter.config.parse(config) }));
  const [output] = await worker.apply([event], { signal: new AbortController().signal });
  if (output !== null) expect(output).toBe(event);
  return output !== null;
}

describe("filter keeps the contract of a transform", () => {
  const samples = [record({ status: "live" }), record({ status: "draft" })];
  const config = { where: { status: "live" } };
  for (const { name, run } of transformConformance({
    transform: filter,
    config,
    samples,
    module: new URL("./filter.js", import.meta.url),
  }))
    it(name, run);
});

describe("filter", () => {
  const article = {
    status: "live",
    stars: 4,
    price: "12.50",
    tags: ["cats", "dogs"],
    author: { name: "Ada", city: null },
    published: "2026-02-01T00:00:00Z",
    pinned: false,
  };

  it.each([
    [{ status: "live" }],
    [{ status: { ne: "draft" } }],
    [{ stars: { gt: 3, lte: 4 } }],
    [{ stars: { gte: 4, lt: 5 } }],
    [{ price: { gt: 9 } }],
    [{ price: 12.5 }],
    [{ status: { in: ["live", "new"] } }],
    [{ status: { nin: ["draft", null] } }],
    [{ "author.name": { prefix: "A", suffix: "da" } }],
    [{ "author.city": { exists: false } }],
    [{ "author.city": null }],
    [{ "author.street.number": null }],
    [{ author: { exists: true } }],
    [{ tags: "cats" }],
    [{ tags: { ne: "birds" } }],
    [{ published: { gte: "2026-01-01", lt: "2027" } }],
    [{ pinned: false }],
    [{}],
  ])("keeps what meets %j", async (where) => {
    expect(await kept({ where }, record(article))).toBe(true);
  });

  it.each([
    [{ status: "draft" }],
    [{ status: { ne: "live" } }],
    [{ stars: { gt: 4 } }],
    [{ stars: "4" }],
    [{ price: { lt: 9 } }],
    [{ status: { gt: 3 } }],
    [{ missing: { gt: 0 } }],
    [{ missing: { prefix: "" } }],
    [{ status: { in: ["draft"] } }],
    [{ tags: { nin: ["dogs"] } }],
    [{ tags: { ne: "cats" } }],
    [{ "author.name": { prefix: "B" } }],
    [{ "status.length": 4 }],
    [{ "author.constructor": { exists: true } }],
    [{ status: "live", stars: 5 }],
    [{ pinned: null }],
  ])("drops what does not meet %j", async (where) => {
    expect(await kept({ where }, record(article))).toBe(false);
  });

  it("asks for one of the alternatives, and for all of where besides", async () => {
    const any = [{ stars: 5 }, { tags: "dogs" }];
    expect(await kept({ any }, record(article))).toBe(true);
    expect(await kept({ any: [{ stars: 5 }] }, record(article))).toBe(false);
    expect(await kept({ where: { status: "draft" }, any }, record(article))).toBe(false);
  });

  it("looks into a document's metadata", async () => {
    const { data, ...event } = record({});
    const document = {
      ...event,
      type: "dev.sluice.document.upserted" as const,
      data: { key: data.key, text: "x", metadata: { lang: "en" }, lineage: [] },
    };
    const config = filter.config.parse({ where: { lang: "en" } });
    const worker = await filter.open(fakes.context({ config }));
    const [output] = await worker.apply([document], { signal: new AbortController().signal });
    expect(output).toBe(document);
  });

  it("keeps a record whose wanted field the origin could no longer tell: its delete follows", async () => {
    const where = { "body.lang": "en" };
    expect(await kept({ where }, record({ id: 1 }, ["body"]))).toBe(true);
    expect(await kept({ where }, record({ id: 1 }, ["other"]))).toBe(false);
  });

  describe("says what it drops", () => {
    const never = new AbortController().signal;
    async function said(config: object, afters: readonly JsonObject[]) {
      const context = fakes.context({ config: filter.config.parse(config) });
      const worker = await filter.open(context);
      for (const after of afters) await worker.apply([record(after)], { signal: never });
      return { lines: context.lines, filtered: context.counters.get("filtered") };
    }

    it("at first and then seldom, and counts all", async () => {
      const afters = [{ lang: "en" }, { lang: "de" }, { lang: "fr" }, { lang: "it" }];
      const { lines, filtered } = await said({ where: { lang: "en" } }, afters);
      expect(filtered).toBe(3);
      expect(lines).toEqual([{ level: "info", fields: { dropped: 1 }, message: "dropped" }]);
    });

    it("nothing where nothing is dropped", async () => {
      const { lines, filtered } = await said({ where: { lang: "en" } }, [{ lang: "en" }]);
      expect([lines, filtered]).toEqual([[], undefined]);
    });

    it("and warns once of a field that no event has", async () => {
      const afters = Array.from({ length: 250 }, () => ({ lang: "en", tags: [] }));
      const config = {
        where: { "metadata.lang": "en", draft: null, deleted: { ne: true } },
        any: [{ lang: "en" }, { language: "en" }],
      };
      const { lines, filtered } = await said(config, afters);
      const missing = ["metadata.lang", "language"];
      expect(filtered).toBe(250);
      expect(lines).toEqual([
        { level: "info", fields: { dropped: 1, missing }, message: "dropped" },
        {
          level: "warn",
          fields: { missing, events: 100, fix: expect.stringMatching(/^Name /) },
          message: "no event had a field that the filter asks for",
        },
      ]);
    });

    it("but not of a field that some event has", async () => {
      const afters = Array.from({ length: 120 }, (_, at) => (at === 99 ? { lang: "en" } : {}));
      const { lines } = await said({ where: { lang: "en" } }, afters);
      expect(lines.map(({ level }) => level)).toEqual(["info"]);
    });
  });

  it.each([{}, { where: { a: {} } }, { where: { a: { like: "x" } } }, { any: [] }])(
    "refuses the config %j",
    (config) => {
      expect(filter.config.safeParse(config).success).toBe(false);
    },
  );
});
