import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { canonicalJson } from "./config/canonical.ts";
import {
  defineSource,
  type Context,
  type Source,
  type SourceBatch,
  type SourceContext,
  type SourceDefinition,
} from "./connector.ts";
import { deleted, upserted, type Change, type JsonObject, type RecordChange } from "./event.ts";
import type { StateStore, StateWrite } from "./state/state.ts";
import { version } from "./version.ts";

/** A record as the origin lists it now. */
export interface Listed {
  /** Names the record among all that are listed; the subject of its events. */
  readonly key: string;
  /** What it holds. A record has changed when this has. */
  readonly after: JsonObject;
  /** When it changed at the origin, RFC 3339; by default when that was noticed. */
  readonly time?: string;
  /** The origin's own words on it: passed on, and no part of what it holds. */
  readonly meta?: JsonObject;
}

/** Empty: where a listing stands is what its state remembers. */
const checkpoint = z.strictObject({});
type Checkpoint = z.infer<typeof checkpoint>;

const maxEvents = 1_000;
const scanned = 200;
const maxBytes = 2 ** 20;
const keyPrefix = "r/";
/** Remembered of a record whose event may or may not have been published: equal to no hash. */
const inDoubt = "";

/**
 * A source for an origin that can only be listed: emits what differs from the listing before, every
 * `config.everyMs`. `list` yields every record there is, in any order, and throws when it cannot: what
 * a whole listing leaves out is deleted, unless `deletes` is false (a feed, which forgets old entries).
 *
 * One hash a record is kept in the source's state and in memory, so it suits up to about a million.
 */
export function defineListing<C extends z.ZodType<{ readonly everyMs: number }>>(
  definition: Pick<
    SourceDefinition<C, z.ZodType>,
    "name" | "version" | "summary" | "config" | "check"
  > & {
    /** What a whole listing leaves out is gone. */
    readonly deletes: boolean;
    /** Every record there is. Throws where that cannot be told, halfway too. */
    readonly list: (context: Context<z.output<C>>) => AsyncIterable<Listed>;
  },
): Source {
  const { deletes, list, ...rest } = definition;
  return defineSource({
    ...rest,
    async *scan(context) {
      const known = new Map<string, string>();
      const nextVersion = () => version({ epoch: 0, position: 0n, rank: 0, tail: 0 });
      const run = { ...context, nextVersion, source: sourceOf(definition.name, context.name) };
      const all = differences(list(context), known, { ...run, deletes: false, isFirst: true });
      let some: RecordChange[] = [];
      for await (const { event } of all) {
        some.push(event);
        if (some.length < scanned) continue;
        yield some;
        some = [];
      }
      if (some.length > 0) yield some;
    },
    checkpoint,
    emits: ["dev.sluice.record."],
    capabilities: { deletes, snapshotOnRequest: false, replays: true, forgets: false },
    async *read(context: SourceContext<z.output<C>, Checkpoint>) {
      const { state, signal, progress } = context;
      const known = await recall(state);
      const source = sourceOf(definition.name, context.name);
      for (let isFirst = context.checkpoint === undefined; ; isFirst = false) {
        progress({ phase: isFirst ? "snapshot" : "streaming" });
        const listed = list(context);
        yield* announced(
          differences(listed, known, { ...context, source, deletes, isFirst }),
          state,
        );
        await sleep(context.config.everyMs, undefined, { signal });
      }
    },
  });
}

function sourceOf(type: string, name: string): string {
  return `/${type}/${encodeURIComponent(name)}`;
}

/** Hash by key, of every record that is or may be known downstream. */
async function recall(state: StateStore): Promise<Map<string, string>> {
  const known = new Map<string, string>();
  for await (const page of state.scan(keyPrefix))
    for (const { key, value } of page)
      known.set(key.slice(keyPrefix.length), z.string().parse(value));
  return known;
}

interface Difference {
  readonly event: RecordChange;
  readonly write: StateWrite;
}

async function* differences(
  listed: AsyncIterable<Listed>,
  known: Map<string, string>,
  run: Pick<SourceContext<unknown, unknown>, "nextVersion" | "signal"> & {
    readonly source: string;
    readonly deletes: boolean;
    readonly isFirst: boolean;
  },
): AsyncGenerator<Difference> {
  const { source, deletes, isFirst, nextVersion, signal } = run;
  const seen = new Set<string>();
  const about = (key: string, more: Pick<Listed, "time" | "meta"> = {}): Change => ({
    source,
    key,
    subject: key,
    version: nextVersion(),
    time: more.time ?? new Date().toISOString(),
    meta: more.meta ?? {},
  });
  for await (const record of listed) {
    signal.throwIfAborted();
    const { key, after } = record;
    const hash = createHash("sha256").update(canonicalJson(after)).digest("hex");
    seen.add(key);
    if (known.get(key) === hash) continue;
    const op = known.has(key) ? "update" : isFirst ? "read" : "create";
    known.set(key, hash);
    const event = upserted({ ...about(key, record), op, after });
    yield { event, write: { key: keyPrefix + key, value: hash } };
  }
  if (!deletes) return;
  for (const key of [...known.keys()].filter((key) => !seen.has(key))) {
    known.delete(key);
    yield { event: deleted(about(key)), write: { key: keyPrefix + key, value: undefined } };
  }
}

/**
 * Cuts differences into batches. A crash between publishing a batch and storing its writes leaves the
 * sinks ahead of our memory, and a record may change back, or go, before the next listing. So every
 * record of a batch is put in doubt first: whatever is there after the crash is then emitted again.
 */
async function* announced(
  all: AsyncIterable<Difference>,
  state: StateStore,
): AsyncGenerator<SourceBatch<Checkpoint>> {
  let some: Difference[] = [];
  let bytes = 0;
  const batch = async (): Promise<SourceBatch<Checkpoint>> => {
    const [events, writes] = [some.map(({ event }) => event), some.map(({ write }) => write)];
    some = [];
    bytes = 0;
    await state.each(writes.map(({ key }) => ({ key, value: inDoubt })));
    return { events, checkpoint: {}, writes };
  };
  for await (const one of all) {
    const size = Buffer.byteLength(JSON.stringify(one.event));
    if (some.length === maxEvents || (some.length > 0 && bytes + size > maxBytes)) yield batch();
    some.push(one);
    bytes += size;
  }
  if (some.length > 0) yield batch();
}
