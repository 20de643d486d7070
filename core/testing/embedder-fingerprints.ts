import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { Embedder } from "../vectors.ts";
import type { Case, WrittenConfig } from "./conformance.ts";
import type { EmbedderBench } from "./embedder.ts";
import { isOther } from "./embedder-vectors.ts";
import { context } from "./fakes/context.ts";

const text = "A cat sat on the mat.";
/** How long one with another option is waited for: it may ask for what is not there. */
const patienceMs = 5_000;

/** What an embedder calls the vectors that it makes. */
export function fingerprintCases({
  extension,
  config,
  opened,
  embed,
}: EmbedderBench): readonly Case[] {
  type Made = Pick<Embedder, "fingerprint"> & { readonly vector: Float32Array | undefined };
  const madeWith = async (written: WrittenConfig, signal: AbortSignal): Promise<Made> => {
    let made: Made | undefined;
    await opened(
      async (embedder) => {
        const { fingerprint } = embedder;
        const [vector] = await embed(embedder, [text], { signal });
        made = { fingerprint, vector };
      },
      context<unknown>({ config: extension.config.parse(written), signal }),
    );
    assert.ok(made);
    return made;
  };

  return [
    {
      name: "has one fingerprint, and another for whatever option makes other vectors",
      run: async () => {
        const { signal } = new AbortController();
        const own = await madeWith(config, signal);
        assert.equal((await madeWith(config, signal)).fingerprint, own.fingerprint, "opened twice");
        for (const [option, other] of variants(extension.config, config, own.vector?.length)) {
          const made = await patiently((limited) => madeWith({ ...config, ...other }, limited));
          // One that cannot be opened, or that makes the same.
          if (!made || !isOther(made.vector, own.vector)) continue;
          assert.notEqual(made.fingerprint, own.fingerprint, `whatever "${option}" is`);
        }
      },
    },
  ];
}

/** What comes of it in time; nothing when it fails. */
async function patiently<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
  const aborter = new AbortController();
  const waiting = new AbortController();
  const late = async () => {
    await sleep(patienceMs, undefined, { signal: waiting.signal });
    aborter.abort();
    return undefined;
  };
  try {
    return await Promise.race([work(aborter.signal), late()]);
  } catch {
    // Not every value of an option fits the others.
    return undefined;
  } finally {
    waiting.abort();
  }
}

/** The config with another value of each of its options: of those that have a number, a choice, or yes and no. */
function* variants(
  schema: z.ZodType,
  config: WrittenConfig,
  dimensions = 2,
): Generator<readonly [option: string, other: WrittenConfig]> {
  const parsed = schema.parse(config) as WrittenConfig; // options are an object's
  const { properties = {} } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  for (const [option, told] of Object.entries(properties)) {
    if (typeof told === "boolean" || told["secret"] === true) continue;
    const now = parsed[option];
    const others: unknown[] = (told.enum ?? []).filter((value) => value !== now);
    if (told.type === "boolean") others.push(now !== true);
    if (typeof now === "number") others.push(Math.ceil(now / 2));
    // Whoever has no default knows its own.
    if (option === "dimensions" && now === undefined) others.push(Math.ceil(dimensions / 2));
    for (const value of others)
      if (schema.safeParse({ ...config, [option]: value }).success)
        yield [option, { [option]: value }];
  }
}
