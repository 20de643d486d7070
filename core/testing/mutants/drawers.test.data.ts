import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { PoisonError, RetryableError, SluiceError } from "../../errors.ts";
import { defineVectorStore } from "../../extension.ts";
import type { Vector } from "../../vectors.ts";

/** What one that takes no more than the first of many takes: fewer than its limits, more than other cases need. */
const most = { written: 90, removed: 45, fetched: 35 };

/** One thing each that the store does wrong. */
const faults = [
  "says other dimensions",
  "makes texts of numbers",
  "merges metadata",
  "removes by prefix",
  "removes the first of many",
  "writes the first of many",
  "fetches the first of many",
  "misses what is absent",
  "loses upserts at once",
  "tells falling positions",
  "fetches what is absent",
  "lists by a pattern",
  "lists in any case",
  "rounds values",
  "keeps integers of 32 bits",
  "keeps floats of 32 bits",
  "folds the case of namespaces",
  "cleans namespaces",
  "orders by another metric",
  "answers with ten at most",
  "makes what it is to read",
  "lists one page",
  "lists in order of arrival",
  "mixes namespaces",
  "names other namespaces",
  "answers the farthest first",
  "answers all",
  "answers without metadata",
  "takes less than it says",
  "cuts long ids",
  "takes other dimensions",
  "asks to try again with other dimensions",
  "ignores its abort",
  "ignores its deadline",
  "settles late",
  "keeps to itself what it answered",
  "writes a vector by halves",
  "closes once",
  "leaves a timer",
  "leaves a listener",
  "leaves a quiet timer",
  "tells its token",
  "keeps its token",
] as const;

const code = "drawers.refused";
type Spaces = Map<string, Map<string, Vector>>;

/** Vectors in maps, kept in a file. */
export const drawers = defineVectorStore({
  name: "drawers",
  version: "1.0.0",
  summary: "In a file.",
  config: z.strictObject({
    path: z.string().min(1).describe("The file."),
    token: z.string().min(1).optional().meta({ secret: true }).describe("For nothing."),
    broken: z.enum(faults).optional().describe("What it does wrong."),
  }),
  async open({ config: { path, token, broken }, dimensions = 8, readOnly, log, state }) {
    const is = (fault: (typeof faults)[number]) => broken === fault;
    if (is("tells its token")) log.warn({ url: `https://kit:${token}@localhost` }, "opened");
    if (is("leaves a quiet timer")) setInterval(() => {}, 1_000).unref();
    if (is("keeps its token")) await state.each([{ key: "token", value: String(token) }]);
    if (is("leaves a timer")) setInterval(() => {}, 1_000);
    if (!existsSync(path)) {
      if (readOnly && !is("makes what it is to read"))
        throw new RetryableError("drawers: no file.", { code, reason: "refused" });
      writeFileSync(path, "[]");
    }
    const spaces = read(path);
    const save = () => {
      writeFileSync(`${path}.new`, written(spaces));
      renameSync(`${path}.new`, path);
    };
    const space = (namespace: string) => {
      const name = spaceOf(namespace, broken);
      const held = spaces.get(name) ?? new Map<string, Vector>();
      spaces.set(name, held);
      return held;
    };
    let [lsn, isClosed] = [0n, false];
    const limits = {
      maxVectors: 100,
      maxBytes: 200_000,
      maxDeleteIds: 50,
      maxFetchIds: 40,
      maxIdLength: 512,
      maxMetadataBytes: 4_000,
    };
    return {
      limits,
      describe: async () => ({
        dimensions: is("says other dimensions") ? 3 : dimensions,
        metric: "cosine",
      }),
      async upsert(vectors, { namespace, signal, deadline = Infinity }) {
        if (is("leaves a listener")) signal.addEventListener("abort", () => {});
        if (is("settles late")) await sleep(2);
        if (is("settles late") && signal.aborted) await sleep(1_200);
        if (!is("ignores its abort")) signal.throwIfAborted();
        if (performance.now() >= deadline && !is("ignores its deadline"))
          throw new SluiceError("drawers: too late.", { code });
        if (vectors.length > (is("takes less than it says") ? 10 : limits.maxVectors))
          throw new PoisonError("drawers: too many.", { code });
        for (const { values } of vectors) {
          if (values.length === dimensions || is("takes other dimensions")) continue;
          if (is("asks to try again with other dimensions"))
            throw new RetryableError("drawers: not now.", { code, reason: "unreachable" });
          throw new PoisonError("drawers: other dimensions.", { code });
        }
        if (is("writes a vector by halves")) {
          for (const one of vectors) space(namespace).set(one.id, { ...one, metadata: {} });
          save();
          await sleep(100);
        }
        const held = is("loses upserts at once") ? new Map(space(namespace)) : space(namespace);
        if (is("loses upserts at once")) await sleep(1);
        for (const vector of is("writes the first of many")
          ? vectors.slice(0, most.written)
          : vectors) {
          const id = is("cuts long ids") ? vector.id.slice(0, 16) : vector.id;
          const before = is("merges metadata") ? held.get(id)?.metadata : {};
          const metadata = Object.entries({ ...before, ...vector.metadata }).map(([key, value]) => [
            key,
            typeof value === "number" ? numberOf(value, broken) : value,
          ]);
          const values = is("rounds values")
            ? vector.values.map((value) => Math.round(value * 10_000) / 10_000)
            : vector.values;
          held.set(id, { id, values, metadata: Object.fromEntries(metadata) });
        }
        spaces.set(spaceOf(namespace, broken), held);
        if (!is("keeps to itself what it answered")) save();
        lsn += is("tells falling positions") ? -1n : 1n;
        return { lsn };
      },
      async remove(ids, { namespace, signal }) {
        signal.throwIfAborted();
        const held = space(namespace);
        for (const id of is("removes the first of many") ? ids.slice(0, most.removed) : ids) {
          if (!held.has(id) && is("misses what is absent"))
            throw new SluiceError(`drawers: no ${id}.`, { code });
          held.delete(id);
          if (is("removes by prefix") && ids.length > 1) held.delete("b");
        }
        save();
        return {};
      },
      async fetch(ids, { namespace }) {
        const held = space(namespace);
        const absent = (id: string): Vector[] =>
          is("fetches what is absent") ? [{ id, values: new Float32Array(), metadata: {} }] : [];
        const asked = is("fetches the first of many") ? ids.slice(0, most.fetched) : ids;
        return asked.flatMap((id) => held.get(id) ?? absent(id));
      },
      async *list(prefix, { namespace }) {
        const arrived = [...space(namespace).keys()];
        const all = is("lists in order of arrival") ? arrived : arrived.toSorted();
        const isLike = new RegExp(`^${prefix.replaceAll("_", ".").replaceAll("%", ".*")}`);
        const ids = all.filter((id) => {
          if (is("lists by a pattern")) return isLike.test(id);
          if (is("lists in any case")) return id.toLowerCase().startsWith(prefix.toLowerCase());
          return id.startsWith(prefix);
        });
        for (let at = 0; at < ids.length; at += 100) {
          yield ids.slice(at, at + 100);
          if (is("lists one page")) return;
        }
      },
      async *namespaces() {
        yield is("names other namespaces") ? ["other"] : [...spaces.keys()];
      },
      async query({ vector, topK }, { namespace }) {
        const sign = is("answers the farthest first") ? -1 : 1;
        const found = [...space(namespace).values()]
          .map(({ id, values, metadata }) => ({
            id,
            score:
              sign *
              (is("orders by another metric") ? dot(values, vector) : cosine(values, vector)),
            metadata: is("answers without metadata") ? {} : metadata,
          }))
          .toSorted((one, other) => other.score - one.score);
        const most = is("answers with ten at most") ? Math.min(topK, 10) : topK;
        return { matches: is("answers all") ? found : found.slice(0, most), lsn };
      },
      close: async () => {
        save();
        if (isClosed && is("closes once")) throw new Error("drawers: closed already.");
        isClosed = true;
      },
    };
  },
});

function spaceOf(namespace: string, broken: string | undefined): string {
  if (broken === "mixes namespaces") return "all";
  if (broken === "folds the case of namespaces") return namespace.toLowerCase();
  return broken === "cleans namespaces" ? namespace.replaceAll(/\W/g, "_") : namespace;
}

function numberOf(value: number, broken: string | undefined): number | string {
  if (broken === "makes texts of numbers") return String(value);
  if (broken === "keeps integers of 32 bits" && Number.isInteger(value)) return value | 0;
  return broken === "keeps floats of 32 bits" ? Math.fround(value) : value;
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
}

function cosine(a: Float32Array, b: Float32Array): number {
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

function written(spaces: Spaces): string {
  const plain = [...spaces].map(([name, held]) => [
    name,
    [...held].map(([id, one]) => [id, { ...one, values: [...one.values] }]),
  ]);
  return JSON.stringify(plain);
}

function read(path: string): Spaces {
  const plain = JSON.parse(readFileSync(path, "utf8")) as readonly (readonly [
    string,
    readonly (readonly [string, Vector])[],
  ])[]; // as `written` made it
  return new Map(
    plain.map(([name, held]) => [
      name,
      new Map(held.map(([id, one]) => [id, { ...one, values: Float32Array.from(one.values) }])),
    ]),
  );
}
