import { FencedError } from "../../errors.ts";
import type { Json } from "../../event.ts";
import type { Entry, Fence, StateStore, StateWrite } from "../state.ts";
import type { RedisClient } from "./client.ts";
import { toRedisError } from "./connect.ts";
import type { Replication } from "./replication.ts";
import { keysOf, type Scripts } from "./scripts.ts";

const defaultPageSize = 500;

/** The state under one scope, e.g. `sluice:{shop/articles}`. */
export function redisStore(scripts: Scripts, scope: string, { kept }: Replication): StateStore {
  const keys = keysOf(scope);

  /** Invariant 1: what is written elsewhere because of this must never outlive it. */
  const write = (script: "each" | "all", writes: readonly StateWrite[], fence?: Fence) => {
    const values = writes.flatMap(({ key, value, expect, ttlMs }) => [
      key,
      expect ?? "",
      ttlMs ?? "",
      value === undefined ? "" : JSON.stringify(value),
    ]);
    const repeatable = writes.every(({ expect }) => expect === undefined);
    return kept(
      scope,
      (history) =>
        scripts[script](...keys, fence?.lease ?? "", fence?.token ?? "", history, ...values),
      { repeatable },
    ).catch((error: unknown) => {
      throw toWriteError(error, fence);
    });
  };

  return {
    get: async (wanted) => {
      if (wanted.length === 0) return [];
      const found = await ask(scripts.get(...keys, ...wanted));
      return wanted.map((key, at) => toEntry(key, found[at * 2], found[at * 2 + 1]));
    },
    each: async (writes, fence) => {
      const done = (await write("each", writes, fence)) as readonly number[];
      return done.map((one) => one === 1);
    },
    all: async (writes, fence) => (await write("all", writes, fence)) === 1,
    scan: async function* (prefix, { after, pageSize = defaultPageSize } = {}) {
      const [first, highest] = rangeOf(prefix);
      let lowest = first;
      if (after !== undefined && Buffer.compare(Buffer.from(after), Buffer.from(prefix)) >= 0)
        lowest = `(${after}`;
      for (;;) {
        const [last, ...found] = await ask(scripts.page(...keys, lowest, highest, pageSize));
        const entries: Entry[] = [];
        for (let at = 0; at < found.length; at += 3) {
          const entry = toEntry(String(found[at]), found[at + 1], found[at + 2]);
          if (entry) entries.push(entry);
        }
        if (entries.length > 0) yield entries;
        if (last === null) return;
        lowest = `(${String(last)}`;
      }
    },
  };
}

/** Of all keys with a prefix, in a scope. */
export async function countKeys(
  client: RedisClient,
  scope: string,
  prefix: string,
): Promise<number> {
  const [, order] = keysOf(scope);
  return await client.zlexcount(order, ...rangeOf(prefix)).catch((error: unknown) => {
    throw toRedisError(error);
  });
}

function rangeOf(prefix: string): readonly [lowest: string, highest: Buffer] {
  return [`[${prefix}`, Buffer.concat([Buffer.from(`[${prefix}`), Buffer.of(0xff)])]; // no UTF-8 text holds 0xff
}

type Answer = readonly (string | number | null)[];

async function ask(answer: Promise<unknown>): Promise<Answer> {
  try {
    return (await answer) as Answer;
  } catch (error) {
    throw toRedisError(error);
  }
}

function toEntry(
  key: string,
  revision: Answer[number] | undefined,
  json: Answer[number] | undefined,
) {
  if (typeof revision !== "number" || typeof json !== "string") return undefined;
  return { key, value: JSON.parse(json) as Json, revision };
}

function toWriteError(error: unknown, fence: Fence | undefined) {
  if (fence && error instanceof Error && error.message.includes("FENCED"))
    return new FencedError(`state: lease ${fence.lease} has a newer holder than ${fence.token}.`, {
      code: "state.fenced",
    });
  return toRedisError(error);
}
