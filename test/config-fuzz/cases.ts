import * as fc from "fast-check";

/** A config file as text. */
export type Text = string;

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

const embedding = { provider: "hash" };
/** One of each built-in connector, as people write them. */
const seeds: readonly Json[] = [
  {
    project: "${SLUICE_PROJECT:-notes}",
    queue: "embedded",
    topics: { notes: { partitions: 4, optional: false, maxWaiting: 50 } },
    connectors: [
      {
        name: "folder",
        source: "file",
        to: "notes",
        config: { path: "./notes", include: ["**/*.md"], rescanMs: 5_000 },
      },
      {
        name: "search",
        sink: "pinecone",
        from: ["notes"],
        filter: { exact: { type: "dev.sluice.record.upserted" } },
        transforms: [{ use: "parse" }, { use: "chunk", config: { maxTokens: 200 } }],
        retry: { attempts: 5, maxDelayMs: 1_000 },
        onPoison: "park",
        whenFull: "detach",
        config: { index: "notes", local: ".sluice/pinecone", embedding },
      },
    ],
  },
  {
    queue: "redis://localhost:6379",
    connectors: [
      {
        name: "articles",
        source: "postgres",
        to: "articles",
        onGap: "resnapshot",
        config: { url: "${DATABASE_URL}", tables: ["public.articles"] },
      },
      {
        name: "render",
        transform: "render",
        from: "articles",
        to: "documents",
        config: { template: "# {{ title }}\n\n{{ body }}", mediaType: "text/markdown" },
      },
      { name: "log", sink: "log", from: "documents", config: {} },
    ],
  },
  {
    connectors: [
      {
        name: "kitchen",
        source: "mongodb",
        to: "recipes",
        config: { url: "${MONGODB_URL}", collections: ["kitchen.recipes"], json: "plain" },
      },
      {
        name: "only",
        transform: "filter",
        from: "recipes",
        to: "some",
        config: { filter: { prefix: { subject: "a" } } },
      },
      {
        name: "out",
        sink: "vectors",
        from: "some",
        transforms: [
          { use: "render", config: { template: "{{ title }}" } },
          { use: "chunk", config: { maxTokens: 64, embedding } },
        ],
        config: { store: { use: "./store.mjs" }, embedding },
      },
    ],
  },
  {
    name: "bucket",
    source: "s3",
    to: "objects",
    config: {
      bucket: "docs",
      prefix: "a/",
      region: "eu-central-1",
      secretAccessKey: "${file:key}",
    },
  },
];

const nasty = fc.constantFrom<Json>(
  "${file:../../../../etc/passwd}",
  "${file:/etc/hostname}",
  "${file:}",
  "${file:.}",
  "${file:a\0b}",
  "${NOWHERE}",
  "${",
  "$${x}",
  "${SECRET}",
  "redis://user:${SECRET}@localhost:6379",
  "${constructor}",
  "${__proto__}",
  "../../../../etc/passwd",
  "/etc/passwd",
  "./nothing.mjs",
  "./broken.mjs",
  "./store.mjs",
  "@scope/nothing",
  "fast-check",
  "..",
  "",
  "\0",
  "\uD800",
  "http://evil.example/",
  "redis://evil.example:6379/99",
  "redis://user:pass word@evil.example",
  "postgres://evil.example/db",
  "embedded:../../outside",
  "constructor",
  "__proto__",
  "toString",
  "a".repeat(5_000),
  "(".repeat(2_000),
  "{% if %}{{ a | nothing }}",
  "{{",
  "[[[",
  "**/".repeat(200),
  1e308,
  -1,
  0.5,
  Number.MAX_SAFE_INTEGER,
  null,
  true,
  [],
  {},
  [[[[[]]]]],
);
const anything = fc.oneof(
  { weight: 4, arbitrary: nasty },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json> },
  { weight: 2, arbitrary: fc.constantFrom(...seeds) },
);
const keyName = fc.oneof(
  fc.constantFrom(
    ..."name source sink transform from to config queue state topics connectors use transforms filter embedding provider path url __proto__ constructor toString hasOwnProperty".split(
      " ",
    ),
  ),
  fc.string({ maxLength: 8 }),
);

type Change = (at: Json) => Json;
const change: fc.Arbitrary<Change> = fc.oneof(
  anything.map(
    (value): Change =>
      () =>
        value,
  ),
  fc.tuple(keyName, anything).map(
    ([key, value]): Change =>
      (at) =>
        isObject(at) ? { ...at, [key]: value } : value,
  ),
  fc.nat().map(
    (which): Change =>
      (at) =>
        isObject(at)
          ? Object.fromEntries(Object.entries(at).filter((_, n, all) => n !== which % all.length))
          : [at],
  ),
  fc.tuple(fc.nat(), keyName).map(
    ([which, key]): Change =>
      (at) =>
        isObject(at)
          ? Object.fromEntries(
              Object.entries(at).map(([old, value], n, all) => [
                n === which % all.length ? key : old,
                value,
              ]),
            )
          : { [key]: at },
  ),
  fc.constant<Change>((at) =>
    Array.isArray(at) ? [...(at as Json[]), ...(at as Json[])] : [at, at],
  ),
);

/** A seed with a few of its values changed. */
const mutated = fc
  .tuple(
    fc.constantFrom(...seeds),
    fc.array(fc.tuple(fc.array(fc.nat({ max: 40 }), { maxLength: 6 }), change), {
      minLength: 0,
      maxLength: 4,
    }),
  )
  .map(([seed, changes]) =>
    changes.reduce((file, [way, apply]) => changed(file, way, apply), seed),
  );

/** Config files: changed seeds, some of them damaged as texts, and whatever else is JSON. */
export const configs: fc.Arbitrary<Text> = fc.oneof(
  { weight: 10, arbitrary: mutated.map((file) => JSON.stringify(file)) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(mutated, fc.nat(), fc.nat({ max: 20 }), fc.string({ unit: "binary", maxLength: 5 }))
      .map(([file, at, length, put]) => {
        const text = JSON.stringify(file);
        const from = at % (text.length + 1);
        return text.slice(0, from) + put + text.slice(from + length);
      }),
  },
  { weight: 1, arbitrary: fc.json({ maxDepth: 6 }) },
  { weight: 1, arbitrary: fc.string({ unit: "binary" }) },
);

function changed(at: Json, way: readonly number[], apply: Change): Json {
  const [first, ...rest] = way;
  if (first === undefined) return apply(at);
  if (Array.isArray(at) && at.length > 0) {
    const list = at as readonly Json[];
    return list.map((one, n) => (n === first % list.length ? changed(one, rest, apply) : one));
  }
  if (!isObject(at)) return apply(at);
  const keys = Object.keys(at);
  const chosen = keys[first % Math.max(1, keys.length)];
  return Object.fromEntries(
    Object.entries(at).map(([key, one]) => [key, key === chosen ? changed(one, rest, apply) : one]),
  );
}

function isObject(value: Json): value is { readonly [key: string]: Json } {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
