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
const connectorKeys = "$schema, name, source, to, config";

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
      "connectors | config: connectors is []; it must be a list whose length is 1 or more. | Write a list whose length is 1 or more: Sources, transforms and sinks.",
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
    "a number written as a text, from the environment",
    { connectors: [{ ...source, config: { path: "./x", everyMs: "${EVERY}" } }] },
    [
      'connectors[0].config.everyMs | notes: everyMs is "${EVERY}"; it must be a number. | Write a number: Milliseconds between looks.',
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
      'queue | config: queue is "kafka://***@host"; it must be "embedded", "embedded:DIR", "redis://HOST:PORT" or "rediss://HOST:PORT". | Write "embedded", "embedded:DIR", "redis://HOST:PORT" or "rediss://HOST:PORT": Where topics live: "embedded" (SQLite in .sluice beside the first file), "embedded:DIR" or "redis://…". Default: the environment variable SLUICE_QUEUE, else "embedded".',
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
      'connectors[0].source | notes: there is no source "foldr", built in or installed. | Write "folder", or run: npm install foldr',
      'connectors[1].sink | out: there is no sink "sluice-sink-nowhere", built in or installed. | Run: npm install sluice-sink-nowhere; built in are index, print',
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
      "connectors[2].filter.not.all | two: filter.not.all is []; it must be a list whose length is 1 or more. | Write a list whose length is 1 or more: Every one of these filters passes.",
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
      'connectors[1].transforms[0] | a: transforms[0] is "parse"; it must be an object. | Write an object.',
      "connectors[2].from[1] | out: from[1] is 3; it must be a text. | Write a text.",
      "connectors[2].retry.attempts | out: retry.attempts is 0; it must be 1 or more. | Write 1 or more: Tries of an unexplained error before the events are looked at one by one.",
    ],
  ],
];

describe("a wrong config is refused with every problem, its place, the value and the fix", () => {
  let dir = "";
  beforeAll(() => (dir = mkdtempSync(join(tmpdir(), "sluice-config-"))));
  afterAll(() => rmSync(dir, { recursive: true }));

  for (const [name, file, expected] of cases)
    it(name, async () => {
      const path = join(dir, "x.json");
      writeFileSync(path, JSON.stringify(file));
      const env = { EVERY: "1000" };
      const error: unknown = await loadPipeline([path], { env, catalog }).catch((thrown) => thrown);
      if (!(error instanceof ConfigError)) throw new Error("it was accepted", { cause: error });
      expect(error.code).toBe("config.invalid");
      expect(
        error.findings.map(
          ({ path: place, message, fix }) =>
            `${place?.replace(`${path}: `, "")} | ${message} | ${fix}`,
        ),
      ).toEqual(expected);
      expect(error.findings.every(({ severity }) => severity === "error")).toBe(true);
    });
});
