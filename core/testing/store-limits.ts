import assert from "node:assert/strict";
import { PoisonError } from "../errors.ts";
import type { Vector } from "../vectors.ts";
import type { Case } from "./conformance.ts";
import type { OpenedStore } from "./store.ts";

/** More would say nothing new, and take long. */
const atMost = 2_000;
/** Bytes that encoding may take besides what is counted. */
const spare = 200;

/** What a store takes at most, and what it refuses. */
export function storeLimitCases(opened: OpenedStore): readonly Case[] {
  return [
    {
      name: "takes as much as its limits say, whole",
      run: () =>
        opened(async ({ store, to, vector, shows }) => {
          const { limits, bytesOf } = store;
          const { maxVectors, maxBytes, maxDeleteIds, maxFetchIds } = limits;
          for (const limit of Object.values(limits))
            assert.ok(Number.isInteger(limit) && limit > 0, `a limit of ${limit}`);
          const size = bytesOf?.(vector("v00000")) ?? 100 + 24 * vector("").values.length;
          const fitting = Math.floor(maxBytes / (size + spare));
          const named = (count: number) => Array.from({ length: count }, (_, at) => `v${at}`);
          const many = named(Math.min(maxVectors, fitting, atMost)).map((id) => vector(id));
          await store.upsert(many, to);
          await shows(many);
          const asked = named(Math.min(maxFetchIds, atMost));
          const found = await store.fetch(asked, to);
          assert.equal(found.length, Math.min(asked.length, many.length), "not all was fetched");
          const gone = named(Math.min(maxDeleteIds, atMost));
          await store.remove(gone, to);
          await shows(many.slice(gone.length));
        }),
    },
    {
      name: "takes ids and metadata as long as its limits say",
      run: () =>
        opened(async ({ store, to, vector, shows }) => {
          const { maxIdLength, maxMetadataBytes } = store.limits;
          const long = vector("i".repeat(Math.min(maxIdLength, 4_096)));
          const full: Vector = {
            ...vector("full"),
            metadata: { text: "m".repeat(Math.min(maxMetadataBytes, 2 ** 20) - spare) },
          };
          await store.upsert([long], to);
          await store.upsert([full], to);
          await shows([long, full]);
        }),
    },
    {
      name: "refuses a vector of other dimensions, which is poison",
      run: () =>
        opened(async ({ store, to, vector, shows }) => {
          const short = { ...vector("short"), values: Float32Array.of(1, 2, 3) };
          await assert.rejects(
            store.upsert([vector("a"), short], to),
            (error) => error instanceof PoisonError,
          );
          await store.upsert([vector("b")], to);
          const [found] = await store.fetch(["short"], to);
          assert.equal(found, undefined);
          await store.remove(["a"], to);
          await shows([vector("b")]);
        }),
    },
  ];
}
