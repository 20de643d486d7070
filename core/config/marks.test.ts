import { describe, expect, it } from "vitest";
import { z } from "zod";
import { catalog } from "./catalog.test.data.ts";
import { mapMarked, redact, secretsIn } from "./marks.ts";
import { secretsOf } from "./secrets.ts";

const secret = z.string().meta({ secret: true });
const path = z.string().meta({ path: true });

describe("redact hides every secret, wherever the schema puts it", () => {
  const cases: [string, z.ZodType, unknown, unknown][] = [
    [
      "a key",
      z.strictObject({ a: secret, b: z.string() }),
      { a: "x", b: "y" },
      { a: "***", b: "y" },
    ],
    ["optional", z.object({ a: secret.optional() }), { a: "x" }, { a: "***" }],
    ["absent", z.object({ a: secret.optional(), b: z.string() }), { b: "y" }, { b: "y" }],
    ["default", z.object({ a: secret.default("d") }), { a: "x" }, { a: "***" }],
    ["nullable", z.object({ a: secret.nullable() }), { a: "x" }, { a: "***" }],
    ["transformed", z.object({ a: secret.transform(Number) }), { a: "1" }, { a: "***" }],
    ["preprocessed", z.object({ a: z.preprocess(String, secret) }), { a: "1" }, { a: "***" }],
    ["checked", z.object({ a: secret }).refine(() => true), { a: "x" }, { a: "***" }],
    ["in a list", z.object({ a: z.array(secret) }), { a: ["x", "y"] }, { a: ["***", "***"] }],
    [
      "in a tuple",
      z.object({ a: z.tuple([z.string(), secret]) }),
      { a: ["x", "y"] },
      { a: ["x", "***"] },
    ],
    ["in a record", z.record(z.string(), secret), { k: "x" }, { k: "***" }],
    [
      "an object as a whole",
      z.object({ a: z.object({ b: z.string() }).meta({ secret: true }) }),
      { a: { b: "x" } },
      { a: "***" },
    ],
    [
      "in an intersection",
      z.object({ a: secret }).and(z.object({ b: z.string() })),
      { a: "x", b: "y" },
      { a: "***", b: "y" },
    ],
    ["behind lazy", z.object({ a: z.lazy(() => secret) }), { a: "x" }, { a: "***" }],
    [
      "in the option that fits",
      z.union([
        z.strictObject({ k: z.literal(1), a: secret }),
        z.strictObject({ k: z.literal(2), a: z.string() }),
      ]),
      { k: 2, a: "x" },
      { k: 2, a: "x" },
    ],
    [
      "in any option while none fits",
      z.union([z.strictObject({ a: secret }), z.strictObject({ a: z.string(), b: z.number() })]),
      { a: "x", c: 1 },
      { a: "***", c: 1 },
    ],
    ["of the wrong type", z.object({ a: secret }), { a: { deep: "x" } }, { a: "***" }],
    [
      "beside keys that every object inherits",
      z.object({ a: secret }),
      { a: "x", constructor: 1, ...(JSON.parse('{"__proto__":1}') as object) },
      { a: "***", constructor: 1, ...(JSON.parse('{"__proto__":1}') as object) },
    ],
    ["under a wrong parent", z.object({ a: z.object({ b: secret }) }), { a: "x" }, { a: "x" }],
  ];
  for (const [name, schema, value, shown] of cases)
    it(name, () => expect(redact(schema, value)).toEqual(shown));
});

it("secretsIn finds the texts inside what is marked", () => {
  const schema = z.object({
    a: secret,
    b: z.record(z.string(), z.string()).meta({ secret: true }),
  });
  expect(secretsIn(schema, { a: "one", b: { x: "two" } })).toEqual(["one", "two"]);
});

it("mapMarked changes paths and leaves the rest", () => {
  const schema = z.object({ dir: path, files: z.array(path), name: z.string() });
  const value = { dir: "a", files: ["b"], name: "c" };
  expect(mapMarked(schema, value, "path", (part) => `/${String(part)}`)).toEqual({
    dir: "/a",
    files: ["/b"],
    name: "c",
  });
});

it("secretsOf gathers the long ones of connectors, stages and places", async () => {
  const folder = await catalog.sources["folder"]?.();
  const index = await catalog.sinks["index"]?.();
  const split = await catalog.transforms["split"]?.();
  if (!folder || !index || !split) throw new Error("the sample catalog lost a connector");
  const embedding = { provider: "remote", model: "m", apiKey: "stage-secret" };
  const redis = { kind: "redis", url: "redis://user:p%40ssword@host" } as const;
  expect(
    secretsOf({
      project: "p",
      queue: redis,
      state: redis,
      topics: {},
      connectors: [
        {
          kind: "source",
          name: "a",
          source: folder,
          config: { path: "/x", password: "source-password" },
          to: "t",
        },
        {
          kind: "sink",
          name: "b",
          from: ["t"],
          retry: { attempts: 5, maxDelayMs: 1 },
          transforms: [{ use: "split", transform: split, config: { embedding }, configHash: "" }],
          sink: index,
          config: { index: "i", apiKey: "tiny", embedding: { ...embedding, apiKey: "pin" } },
        },
      ],
    }),
  ).toEqual(["source-password", "stage-secret", "p%40ssword", "p@ssword", "tiny"]);
});
