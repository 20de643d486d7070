import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { PoisonError, RetryableError, SluiceError } from "../../errors.ts";
import { defineVectorStore } from "../../extension.ts";
import type { Vector } from "../../vectors.ts";

/** One thing each that the store does wrong. */
const faults = [
  "says other dimensions",
  "makes texts of numbers",
  "merges metadata",
  "removes by prefix",
  "misses what is absent",
  "loses upserts at once",
  "tells falling positions",
  "fetches what is absent",
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
  "tells its token",
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
  async open({ config: { path, token, broken }, dimensions = 8, log }) {
    const is = (fault: (typeof faults)[number]) => broken === fault;
    if (is("tells its token")) log.warn({ url: `https://kit:${token}@localhost` }, "opened");
    if (is("leaves a timer")) setInterval(() => {}, 1_000);
    const spaces = read(path);
    const save = () => {
      writeFileSync(`${path}.new`, written(spaces));
      renameSync(`${path}.new`, path);
    };
    const space = (namespace: string) => {
      const name = is("mixes namespaces") ? "all" : namespace;
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
        for (const vector of vectors) {
          const id = is("cuts long ids") ? vector.id.slice(0, 16) : vector.id;
          const before = is("merges metadata") ? held.get(id)?.metadata : {};
          const metadata = Object.entries({ ...before, ...vector.metadata }).map(([key, value]) => [
            key,
            is("makes texts of numbers") && typeof value === "number" ? String(value) : value,
          ]);
          held.set(id, { ...vector, id, metadata: Object.fromEntries(metadata) });
        }
        spaces.set(is("mixes namespaces") ? "all" : namespace, held);
        if (!is("keeps to itself what it answered")) save();
        lsn += is("tells falling positions") ? -1n : 1n;
        return { lsn };
      },
      async remove(ids, { namespace, signal }) {
        signal.throwIfAborted();
        const held = space(namespace);
        for (const id of ids) {
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
        return ids.flatMap((id) => held.get(id) ?? absent(id));
      },
      async *list(prefix, { namespace }) {
        const arrived = [...space(namespace).keys()];
        const all = is("lists in order of arrival") ? arrived : arrived.toSorted();
        const ids = all.filter((id) => id.startsWith(prefix));
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
            score: sign * values.reduce((sum, value, at) => sum + value * (vector[at] ?? 0), 0),
            metadata: is("answers without metadata") ? {} : metadata,
          }))
          .toSorted((one, other) => other.score - one.score);
        return { matches: is("answers all") ? found : found.slice(0, topK), lsn };
      },
      close: async () => {
        save();
        if (isClosed && is("closes once")) throw new Error("drawers: closed already.");
        isClosed = true;
      },
    };
  },
});

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
