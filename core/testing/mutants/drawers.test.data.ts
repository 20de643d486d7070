import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { PoisonError, RetryableError, SluiceError } from "../../errors.ts";
import { defineVectorStore } from "../../extension.ts";
import type { StoreRun, Vector } from "../../vectors.ts";
import { apply, change, kept, replace, type Change, type Kept } from "./drawers-kept.test.data.ts";
import { changed, lets } from "./drawers-metadata.test.data.ts";
import { openService } from "./service.test.data.ts";

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
  "writes after an abort",
  "writes after its deadline",
  "settles late",
  "keeps to itself what it answered",
  "writes a vector by halves",
  "closes once",
  "leaves a timer",
  "leaves a listener",
  "leaves a quiet timer",
  "tells its token",
  "keeps its token",
  "reads its file once",
  "shows its readers what was there",
  "writes over what others wrote meanwhile",
  "writes over what other processes wrote meanwhile",
  "begins anew with other dimensions",
  "answers from namespaces that begin alike",
  "ignores filters",
  "finds by either of two filters",
  "leaves out what it does not know of a filter",
  "filters what it found",
  "takes filters that it does not have",
  "makes numbers of texts",
  "trims texts",
  "unwraps lists of one",
  "drops the keys of vector sync",
  "folds the first letter of keys",
  "normalises letters",
  "lists a thousand",
  "lists by offset",
  "reads after an abort",
  "reads after its deadline",
  "removes after an abort",
  "removes after its deadline",
  "answers late whatever its abort",
  "waits for its server whatever its abort",
  "leaves a listener when it removes",
  "leaves a timer when a list is given up",
  "leaves a listener on the process",
  "tells its token when it writes",
  "tells its token in a refusal",
] as const;

const code = "drawers.refused";
const limits = {
  maxVectors: 100,
  maxBytes: 200_000,
  maxDeleteIds: 50,
  maxFetchIds: 40,
  maxIdLength: 512,
  maxMetadataBytes: 4_000,
};
/** Of those that keep to themselves what they answered. */
const unwritten = new Map<string, Kept>();

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
  async open({ config: { path, token, broken }, dimensions: wanted = 8, readOnly, log, state }) {
    const is = (fault: (typeof faults)[number]) => broken === fault;
    if (is("tells its token")) log.warn({ url: `https://kit:${token}@localhost` }, "opened");
    if (is("leaves a quiet timer")) setInterval(() => {}, 1_000).unref();
    if (is("keeps its token")) await state.each([{ key: "token", value: String(token) }]);
    if (is("leaves a timer")) setInterval(() => {}, 1_000);
    if (is("leaves a listener on the process")) process.on("exit", () => {});
    if (!existsSync(path)) {
      if (readOnly && !is("makes what it is to read"))
        throw new RetryableError("drawers: no file.", { code, reason: "refused" });
      replace(path, { dimensions: wanted, spaces: new Map() });
    }
    if (is("begins anew with other dimensions") && kept(path).dimensions !== wanted)
      replace(path, { dimensions: wanted, spaces: new Map() });
    const server = is("waits for its server whatever its abort") ? await openService() : undefined;
    const isStale =
      is("reads its file once") || (is("shows its readers what was there") && readOnly);
    const once = isStale ? kept(path) : undefined;
    const now = () => once ?? unwritten.get(path) ?? kept(path);
    const write = (one: Change, over: Kept | undefined) => {
      const memory = unwritten.get(path) ?? (is("keeps to itself what it answered") && kept(path));
      const all = memory || over || once;
      if (!all) return change(path, one);
      apply(all, one);
      if (memory) unwritten.set(path, memory);
      else replace(path, all);
    };
    const { dimensions } = now();
    const spaceIn = ({ spaces }: Kept, namespace: string) => {
      const name = spaceOf(namespace, broken);
      const held = spaces.get(name) ?? new Map<string, Vector>();
      spaces.set(name, held);
      return held;
    };
    const check = (
      { signal, deadline = Infinity }: StoreRun,
      does: "writes" | "reads" | "removes",
    ) => {
      if (broken !== `${does} after an abort`) signal.throwIfAborted();
      if (performance.now() >= deadline && broken !== `${does} after its deadline`)
        throw new SluiceError("drawers: too late.", { code });
    };
    const read = (run: StoreRun) => {
      check(run, "reads");
      return spaceIn(now(), run.namespace);
    };
    let [lsn, isClosed] = [0n, false];
    /** Of those that work on one write after the other. */
    let line = Promise.resolve();
    return {
      limits,
      describe: async () => ({
        dimensions: is("says other dimensions") ? 3 : dimensions,
        metric: "cosine",
      }),
      async upsert(vectors, run) {
        const { namespace, signal } = run;
        if (is("leaves a listener")) signal.addEventListener("abort", () => {});
        if (is("tells its token when it writes")) log.debug({ token }, "written");
        if (is("settles late")) await sleep(2);
        if (is("settles late") && signal.aborted) await sleep(1_200);
        check(run, "writes");
        if (vectors.length > (is("takes less than it says") ? 10 : limits.maxVectors))
          throw new PoisonError("drawers: too many.", { code });
        for (const { values } of vectors) {
          if (values.length === dimensions || is("takes other dimensions")) continue;
          if (is("asks to try again with other dimensions"))
            throw new RetryableError("drawers: not now.", { code, reason: "unreachable" });
          const cause = is("tells its token in a refusal") ? { token } : undefined;
          throw new PoisonError("drawers: other dimensions.", { code, cause });
        }
        const space = spaceOf(namespace, broken);
        if (is("writes a vector by halves")) {
          change(path, { space, upsert: vectors.map((one) => ({ ...one, metadata: {} })) });
          await sleep(100);
        }
        const before = line;
        const work = async () => {
          if (is("writes over what others wrote meanwhile")) await before;
          const isOver =
            is("loses upserts at once") || is("writes over what others wrote meanwhile");
          const over =
            isOver || is("writes over what other processes wrote meanwhile") ? now() : undefined;
          if (isOver) await sleep(1);
          const old = is("merges metadata") ? spaceIn(now(), namespace) : undefined;
          const some = is("writes the first of many") ? vectors.slice(0, most.written) : vectors;
          const upsert = some.map(({ id, values, metadata }) => ({
            id: is("cuts long ids") ? id.slice(0, 16) : id,
            values: is("rounds values")
              ? values.map((value) => Math.round(value * 10_000) / 10_000)
              : values,
            metadata: changed({ ...old?.get(id)?.metadata, ...metadata }, broken),
          }));
          write({ space, upsert }, over);
        };
        line = work();
        await line;
        lsn += is("tells falling positions") ? -1n : 1n;
        return { lsn };
      },
      async remove(ids, run) {
        check(run, "removes");
        if (is("leaves a listener when it removes")) run.signal.addEventListener("abort", () => {});
        const gone = is("removes the first of many") ? ids.slice(0, most.removed) : ids;
        if (is("misses what is absent")) {
          const held = spaceIn(now(), run.namespace);
          for (const id of gone)
            if (!held.has(id)) throw new SluiceError(`drawers: no ${id}.`, { code });
        }
        const more = is("removes by prefix") && ids.length > 1 ? ["b"] : [];
        write({ space: spaceOf(run.namespace, broken), remove: [...gone, ...more] }, undefined);
        return {};
      },
      async fetch(ids, run) {
        const held = read(run);
        await server?.ask();
        const absent = (id: string): Vector[] =>
          is("fetches what is absent") ? [{ id, values: new Float32Array(), metadata: {} }] : [];
        const asked = is("fetches the first of many") ? ids.slice(0, most.fetched) : ids;
        return asked.flatMap((id) => held.get(id) ?? absent(id));
      },
      async *list(prefix, run) {
        const isLike = new RegExp(`^${prefix.replaceAll("_", ".").replaceAll("%", ".*")}`);
        const listed = () => {
          const arrived = [...read(run).keys()];
          const all = is("lists in order of arrival") ? arrived : arrived.toSorted();
          const ids = all.filter((id) => {
            if (is("lists by a pattern")) return isLike.test(id);
            if (is("lists in any case")) return id.toLowerCase().startsWith(prefix.toLowerCase());
            return id.startsWith(prefix);
          });
          return is("lists a thousand") ? ids.slice(0, 1_000) : ids;
        };
        const timer = is("leaves a timer when a list is given up")
          ? setInterval(() => {}, 1_000)
          : undefined;
        let ids = listed();
        for (let at = 0; at < ids.length; at += 100) {
          yield ids.slice(at, at + 100);
          if (is("lists one page")) return;
          if (is("lists by offset")) ids = listed();
        }
        clearInterval(timer);
      },
      async *namespaces() {
        yield is("names other namespaces") ? ["other"] : [...now().spaces.keys()];
      },
      async query({ vector, topK, filter = {} }, run) {
        const held = read(run);
        if (is("answers late whatever its abort")) await sleep(1_200);
        if (is("answers from namespaces that begin alike"))
          for (const [name, others] of now().spaces)
            if (name.startsWith(run.namespace)) for (const one of others) held.set(...one);
        if (lets(filter, {}, broken) === undefined)
          throw new PoisonError("drawers: no such filter.", { code });
        const mayBeFound = ({ metadata }: Pick<Vector, "metadata">) =>
          lets(filter, metadata, broken) === true;
        const sign = is("answers the farthest first") ? -1 : 1;
        const found = [...held.values()]
          .filter((one) => is("filters what it found") || mayBeFound(one))
          .map(({ id, values, metadata }) => ({
            id,
            score:
              sign *
              (is("orders by another metric") ? dot(values, vector) : cosine(values, vector)),
            metadata: is("answers without metadata") ? {} : metadata,
          }))
          .toSorted((one, other) => other.score - one.score);
        const most = is("answers with ten at most") ? Math.min(topK, 10) : topK;
        const matches = is("answers all") ? found : found.slice(0, most);
        return { matches: is("filters what it found") ? matches.filter(mayBeFound) : matches, lsn };
      },
      close: async () => {
        await server?.close();
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

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
}

function cosine(a: Float32Array, b: Float32Array): number {
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}
