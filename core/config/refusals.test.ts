import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ConfigError } from "../errors.ts";
import { catalog } from "./catalog.test.data.ts";
import { loadPipeline } from "./load.ts";

/** What a finding must say: `path | message | fix`. */
type Case = readonly [name: string, file: unknown, findings: readonly string[]];

const source = { name: "notes", source: "folder", to: "pages", config: { path: "./x" } };
const sink = { name: "out", sink: "print", from: "pages" };
const aPlace = '"embedded", "embedded:DIR", "redis://HOST:PORT" or "rediss://HOST:PORT"';
const whereTopics =
  'Where topics live: "embedded" (SQLite in .sluice beside the first file), "embedded:DIR" or "redis://…". Default: the environment variable SLUICE_QUEUE, else "embedded".';
const notRedis =
  "Redis cannot be reached by this URL: write redis://HOST:PORT, redis+cluster://HOST:PORT,HOST:PORT or redis+sentinel://HOST:PORT,HOST:PORT/PRIMARY (rediss… with TLS), user and password percent-encoded.";
const connectorKeys = "$schema, name, source, to, config, onGap, durability, initialState";

const cases: readonly Case[] = [
  [
    "an unknown key of the file, and its nearest",
    { projct: "a", connectors: [source] },
    ['projct | config: "projct" is no key here. | Rename it to "project".'],
  ],
  [
    "a key like no other",
    { connectors: [{ ...source, zzzzzz: 1 }] },
    [
      `connectors[0].zzzzzz | notes: "zzzzzz" is no key here. | Remove it; the keys are ${connectorKeys}.`,
    ],
  ],
  [
    "no connectors",
    { project: "a" },
    [
      'connectors | config: connectors is missing. | Add "connectors": Sources, transforms and sinks.',
    ],
  ],
  [
    "an empty list of connectors",
    { connectors: [] },
    [
      "connectors | config: connectors is an empty list; it must be a list whose length is 1 or more. | Write a list whose length is 1 or more: Sources, transforms and sinks.",
    ],
  ],
  [
    "wrong names",
    { connectors: [{ ...source, name: "My Notes", to: "Pages" }] },
    [
      'connectors[0].name | My Notes: name is "My Notes"; it must be up to 63 lower-case letters, digits and dashes. | Write up to 63 lower-case letters, digits and dashes: The connector\'s name: lower-case letters, digits and dashes. Its subscription and state go by it.',
      'connectors[0].to | My Notes: to is "Pages"; it must be up to 63 lower-case letters, digits, dots and dashes. | Write up to 63 lower-case letters, digits, dots and dashes: The topic it publishes to.',
    ],
  ],
  [
    "a connector without a kind, misspelt",
    { connectors: [{ name: "notes", sorce: "folder", to: "pages" }] },
    ['connectors[0] | config: a connector must say what it is. | Rename "sorce" to "source".'],
  ],
  [
    "a connector of two kinds",
    { connectors: [{ ...source, sink: "print" }] },
    [
      'connectors[0] | config: a connector is one thing, but this one says "source" and "sink". | Make each a connector of its own; transforms of a sink go to its transforms.',
    ],
  ],
  [
    "a connector that is no object",
    { connectors: ["folder"] },
    [
      'connectors[0] | config: a connector must be an object. | Write { "name": …, "source": …, … }.',
    ],
  ],
  [
    "an option of the wrong type, one out of bounds, one misspelt, one missing: all at once",
    { connectors: [{ ...source, config: { everyMs: 5, mode: "wacth", pth: "./x" } }] },
    [
      "connectors[0].config.everyMs | notes: everyMs is 5; it must be 10 or more. | Write 10 or more: Milliseconds between looks.",
      'connectors[0].config.mode | notes: mode is "wacth"; it must be "poll" or "watch". | Write "watch".',
      'connectors[0].config.path | notes: path is missing. | Add "path": Folder to read.',
      'connectors[0].config.pth | notes: "pth" is no key here. | Rename it to "path".',
    ],
  ],
  [
    "a variable that holds no number where one is wanted, and a number that is only part of a text",
    {
      connectors: [
        { ...source, config: { path: "./x", everyMs: "${WORD}" } },
        { ...source, name: "two", config: { path: "./x", everyMs: "1${EVERY}" } },
      ],
    },
    [
      'connectors[0].config.everyMs | notes: everyMs is "${WORD}"; it must be a number. | Write a number: Milliseconds between looks.',
      'connectors[1].config.everyMs | two: everyMs is "1${EVERY}"; it must be a number. | Write a number: Milliseconds between looks.',
    ],
  ],
  [
    "a secret that is too short, without showing it",
    { connectors: [{ ...source, config: { path: "./x", password: "hunter2" } }] },
    [
      'connectors[0].config.password | notes: password is "***"; it must be a text whose length is 8 or more. | Write a text whose length is 8 or more: Password of the share.',
    ],
  ],
  [
    "unset variables, each with its place",
    { queue: "${NOWHERE}", connectors: [{ ...source, config: { path: "${ALSO_NOWHERE}/x" } }] },
    [
      "connectors[0].config.path | notes: the environment variable ALSO_NOWHERE is not set. | Set ALSO_NOWHERE, or give a default: ${ALSO_NOWHERE:-default}.",
      "queue | config: the environment variable NOWHERE is not set. | Set NOWHERE, or give a default: ${NOWHERE:-default}.",
    ],
  ],
  [
    "a variable that only every object has",
    { connectors: [{ ...source, config: { path: "${constructor}" } }] },
    [
      "connectors[0].config.path | notes: the environment variable constructor is not set. | Set constructor, or give a default: ${constructor:-default}.",
    ],
  ],
  [
    "an object that is no text, where one of a few is wanted",
    { connectors: [{ ...source, config: { path: "./x", mode: { toString: "poll" } } }] },
    [
      'connectors[0].config.mode | notes: mode is an object with toString; it must be "poll" or "watch". | Write "poll" or "watch".',
    ],
  ],
  [
    "a variable that is none",
    { connectors: [{ ...source, config: { path: "${my-path}" } }] },
    [
      'connectors[0].config.path | notes: "${my-path}" is no variable. | Write ${NAME}, ${NAME:-default} or ${file:PATH}, or $${ for a literal ${.',
    ],
  ],
  [
    "a queue of another system, without its password",
    { queue: "kafka://me:secret@host", connectors: [source] },
    [
      `queue | config: queue is "kafka://***@host"; it must be ${aPlace}. | Write ${aPlace}: ${whereTopics}`,
    ],
  ],
  [
    "a queue and a state whose URLs are none, without their passwords",
    {
      queue: "redis://:hunter2@[bad",
      state: "redis:/u:hunter2@x",
      connectors: [source],
    },
    [
      `queue | config: queue: ${notRedis} | Correct it: ${whereTopics}`,
      `state | config: state is "redis:/***@x"; it must be ${aPlace}. | Write ${aPlace}: Where checkpoints and manifests live, written as for queue. Default: the queue's place.`,
    ],
  ],
  [
    "a password whose % is not encoded",
    { queue: "redis://:100%hunter2@host", connectors: [source] },
    [`queue | config: queue: ${notRedis} | Correct it: ${whereTopics}`],
  ],
  [
    "secrets in the wrong place, without showing them",
    { connectors: { apiKey: "hunter2", password: "hunter2" } },
    [
      "connectors | config: connectors is an object with apiKey, password; it must be a list. | Write a list: Sources, transforms and sinks.",
    ],
  ],
  [
    "texts where objects are wanted, without showing them",
    {
      topics: "hunter2",
      connectors: [
        { ...source, config: "hunter2hunter2" },
        { ...sink, sink: "index", from: "other", config: { index: "i", embedding: "hunter2" } },
        { ...source, name: "three", config: { path: ["hunter2"], everyMs: "u:hunter2@x" } },
      ],
    },
    [
      "connectors[0].config | notes: config is a text; it must be an object. | Write an object: The source's options.",
      "connectors[1].config.embedding | out: embedding is a text; it must be an object. | Write an object: What embeds.",
      'connectors[2].config.everyMs | three: everyMs is "***@x"; it must be a number. | Write a number: Milliseconds between looks.',
      "connectors[2].config.path | three: path is a list of 1; it must be a text. | Write a text: Folder to read.",
      "topics | config: topics is a text; it must be an object. | Write an object: Settings of topics, by name.",
    ],
  ],
  [
    "a long text, by its length alone",
    { connectors: [{ ...source, config: { path: "./x", mode: "x".repeat(100) } }] },
    [
      'connectors[0].config.mode | notes: mode is a text of 100 characters; it must be "poll" or "watch". | Write "poll" or "watch".',
    ],
  ],
  [
    "a variable that is none, without showing what follows it",
    { connectors: [{ ...source, config: { path: "./x", password: "pa${hunter2 and more" } }] },
    [
      "connectors[0].config.password | notes: a ${ here begins no variable. | Write ${NAME}, ${NAME:-default} or ${file:PATH}, or $${ for a literal ${.",
    ],
  ],
  [
    "settings of topics",
    { topics: { pages: { partitions: 0, partition: 2 } }, connectors: [source] },
    [
      'topics.pages.partition | config: "partition" is no key of topics.pages. | Rename it to "partitions".',
      "topics.pages.partitions | config: topics.pages.partitions is 0; it must be 1 or more. | Write 1 or more: How many batches may be worked on at once. Fixed once data exists. Default 4.",
    ],
  ],
  [
    "one name twice",
    { connectors: [source, { ...source, to: "other" }] },
    [
      'connectors[1].name | notes: another connector is named "notes" too. | Give each connector a name of its own.',
    ],
  ],
  [
    "connectors that do not exist, or are something else",
    {
      connectors: [
        { ...source, source: "foldr" },
        { ...sink, sink: "sluice-sink-nowhere", transforms: [{ use: "index" }] },
        { name: "near", source: "./missing.js", to: "pages" },
      ],
    },
    [
      'connectors[0].source | notes: there is no source "foldr", built in or installed. | Write "folder".',
      'connectors[1].sink | out: there is no sink "sluice-sink-nowhere", built in or installed. | Built in are index, print. If it is a package, run: npm install sluice-sink-nowhere',
      'connectors[1].transforms[0].use | out: "index" is a sink, not a transform. | Use it as a sink.',
      'connectors[2].source | near: "./missing.js" is no file. | Correct the path; it is relative to the config file.',
    ],
  ],
  [
    "a sink fed with what it does not take, and the transform that mends it",
    { connectors: [source, { name: "out", sink: "index", from: "pages", config: { index: "i" } }] },
    [
      'connectors[1].from | out: topic "pages" carries dev.sluice.record.*, but index takes dev.sluice.document.*. | Add { "use": "parse" } to its transforms.',
    ],
  ],
  [
    "a stage fed with what it does not take",
    { connectors: [source, { ...sink, transforms: [{ use: "split" }] }] },
    [
      'connectors[1].transforms[0].use | out: topic "pages" carries dev.sluice.record.*, but split takes dev.sluice.document.*. | Add { "use": "parse" } before "split".',
    ],
  ],
  [
    "stages that name another embedding than the sink, in the sink and before it",
    {
      connectors: [
        source,
        {
          name: "cut",
          transform: "split",
          from: "pages",
          to: "cuts",
          transforms: [{ use: "parse" }],
        },
        {
          name: "out",
          sink: "index",
          from: "cuts",
          transforms: [{ use: "split", config: { embedding: { provider: "local" } } }],
          config: {
            index: "i",
            embedding: { provider: "remote", model: "m", apiKey: "very-secret" },
          },
        },
      ],
    },
    [
      'connectors[1].config.embedding | out: split has embedding {"provider":"local"}, but index has {"provider":"remote","model":"m"}. | Write the same "embedding" here as in "out".',
      'connectors[2].transforms[0].config.embedding | out: split has embedding {"provider":"local"}, but index has {"provider":"remote","model":"m"}. | Remove "embedding" here: the transform takes the sink\'s.',
    ],
  ],
  [
    "topics that lead back to themselves",
    {
      connectors: [
        source,
        { name: "one", transform: "split", from: "b", to: "a" },
        { name: "two", transform: "split", from: "a", to: "b" },
      ],
    },
    [
      'connectors[1].to | one: what it publishes to "a" comes back to it. | Publish to a topic that leads to no topic of its `from`.',
      'connectors[2].to | two: what it publishes to "b" comes back to it. | Publish to a topic that leads to no topic of its `from`.',
    ],
  ],
  [
    "options of a variant, and a variant that does not exist",
    {
      connectors: [
        source,
        {
          ...sink,
          sink: "index",
          transforms: [{ use: "parse" }],
          config: { index: "i", embedding: { provider: "remote", modle: "m", apiKey: "k" } },
        },
        {
          ...sink,
          name: "again",
          sink: "index",
          transforms: [{ use: "parse" }],
          config: { index: "i", embedding: { provider: "remot" } },
        },
      ],
    },
    [
      'connectors[1].config.embedding.model | out: embedding.model is missing. | Add "model": Model to ask.',
      'connectors[1].config.embedding.modle | out: "modle" is no key of embedding. | Rename it to "model".',
      'connectors[2].config.embedding.provider | again: embedding.provider is "remot"; it must be "local" or "remote". | Write "local" or "remote".',
    ],
  ],
  [
    "options that do not go together",
    { connectors: [{ ...source, config: { path: "./x", mode: "poll", password: "long enough" } }] },
    ["connectors[0].config | notes: a password needs mode watch. | Correct it."],
  ],
  [
    "wrong filters",
    {
      connectors: [
        source,
        { ...sink, filter: { prefixx: { subject: "a" } } },
        { ...sink, name: "two", filter: { not: { exact: {}, all: [] } } },
      ],
    },
    [
      "connectors[1].filter | out: filter: needs exactly one of exact, prefix, suffix, all, any, not. | Correct it: Which events a consumer takes, by their attributes.",
      'connectors[1].filter.prefixx | out: "prefixx" is no key of filter. | Rename it to "prefix".',
      "connectors[2].filter.not | two: filter.not: needs exactly one of exact, prefix, suffix, all, any, not. | Correct it: This filter does not pass.",
      "connectors[2].filter.not.all | two: filter.not.all is an empty list; it must be a list whose length is 1 or more. | Write a list whose length is 1 or more: Every one of these filters passes.",
      "connectors[2].filter.not.exact | two: filter.not.exact: needs an attribute. | Correct it: Attribute → text: every named attribute equals its text.",
    ],
  ],
  [
    "consumers: no topic, retries out of bounds, a stage that is a text",
    {
      connectors: [
        source,
        { name: "a", sink: "print", transforms: ["parse"] },
        { ...sink, retry: { attempts: 0 }, from: ["pages", 3] },
      ],
    },
    [
      'connectors[1].from | a: from is missing. | Add "from": The topic or topics it reads.',
      "connectors[1].transforms[0] | a: transforms[0] is a text; it must be an object. | Write an object.",
      "connectors[2].from[1] | out: from[1] is 3; it must be a text. | Write a text.",
      "connectors[2].retry.attempts | out: retry.attempts is 0; it must be 1 or more. | Write 1 or more: Tries of an unexplained error before the events are looked at one by one.",
    ],
  ],
];

const rawCases: readonly (readonly [name: string, text: string, findings: readonly string[]])[] = [
  [
    "keys that every object inherits",
    `{"__proto__":{"a":1},"connectors":[
      {"name":"notes","source":"folder","to":"pages","config":{"path":".","__proto__":{"a":1}}},
      {"name":"two","source":"folder","to":"pages","constructor":1,"config":{"path":".","toString":{"valueOf":1}}}]}`,
    [
      '__proto__ | config: "__proto__" is no key here. | ',
      'connectors[0].config.__proto__ | notes: "__proto__" is no key here. | ',
      'connectors[1].config.toString | two: "toString" is no key here. | ',
      'connectors[1].constructor | two: "constructor" is no key here. | ',
    ].map((start) => expect.stringContaining(start) as string),
  ],
  ...["[".repeat(200_000), "[".repeat(200_000) + "]".repeat(200_000)].map(
    (text, at) =>
      [
        `lists without end, ${at === 0 ? "cut short" : "closed"}`,
        text,
        [`FILE | config: nests deeper than 100 levels at line 1, column 101. | Write it flatter.`],
      ] as const,
  ),
];

describe("a wrong config is refused with every problem, its place, the value and the fix", () => {
  let dir = "";
  beforeAll(() => (dir = mkdtempSync(join(tmpdir(), "sluice-config-"))));
  afterAll(() => rmSync(dir, { recursive: true }));

  const texts = cases.map(
    ([name, file, findings]) => [name, JSON.stringify(file), findings] as const,
  );
  for (const [name, text, expected] of [...texts, ...rawCases])
    it(name, async () => {
      const path = join(dir, "x.json");
      writeFileSync(path, text);
      const env = { EVERY: "1000", WORD: "often" };
      const error: unknown = await loadPipeline([path], { env, catalog }).catch((thrown) => thrown);
      if (!(error instanceof ConfigError)) throw new Error("it was accepted", { cause: error });
      expect(error.code).toBe("config.invalid");
      const findings = error.findings.map(
        ({ path: place, message, fix }) =>
          `${place?.replace(`${path}: `, "").replace(path, "FILE")} | ${message} | ${fix}`,
      );
      expect(findings.join("\n")).not.toContain("hunter2");
      expect(findings).toEqual(expected);
      expect(error.findings.every(({ severity }) => severity === "error")).toBe(true);
    });
});
