import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JsonObject, SluiceEvent, Source, SourceContext } from "sluice";
import { fakes, type FakeState, type SourceRun } from "sluice/testing";
import { startPostgres, type PostgresServer } from "../../../../test/postgres-server.ts";
import type { Options } from "../config.ts";
import { follow } from "../follow.ts";
import { postgres } from "../postgres.ts";
import type { Position } from "../position.ts";

/** A database of its own on a real server, a connection to it, and sources that read it. */
export interface Bench {
  readonly url: string;
  readonly database: string;
  readonly client: Client;
  readonly sql: (
    text: string,
    parameters?: readonly unknown[],
  ) => Promise<Record<string, unknown>[]>;
  /** Starts the source; a second one with the same `state` resumes. */
  readonly start: (
    config: JsonObject,
    more?: {
      readonly state?: FakeState;
      readonly killWhen?: (events: readonly SluiceEvent[]) => boolean;
      /** How often the source looks for tables that came or went: a minute, as it does by itself. */
      readonly lookEveryMs?: number;
    },
  ) => Promise<SourceRun>;
  /** `start`, and waits until the first snapshot is complete. */
  readonly streaming: (
    config: JsonObject,
    more?: { readonly state?: FakeState; readonly lookEveryMs?: number },
  ) => Promise<SourceRun>;
  /** Another session, as of an application. */
  readonly connect: () => Promise<Client>;
  /** Runs statements, each by itself. */
  readonly all: (...statements: readonly string[]) => Promise<void>;
  /** Runs statements in one transaction. */
  readonly together: (...statements: readonly string[]) => Promise<void>;
  /** Waits until the source has published all that is committed now. */
  readonly caughtUp: (run: SourceRun) => Promise<void>;
  readonly slot: () => Promise<Record<string, unknown> | undefined>;
  readonly close: () => Promise<void>;
}

export async function openBench(server: PostgresServer): Promise<Bench> {
  const made = await server.createDatabase();
  const client = new Client({ connectionString: made.url });
  client.on("error", () => undefined); // tests restart the server
  await client.connect();
  const runs: SourceRun[] = [];
  const sql: Bench["sql"] = async (text, parameters = []) =>
    (await client.query(text, [...parameters])).rows as Record<string, unknown>[];
  const all: Bench["all"] = async (...statements) => {
    for (const statement of statements) await client.query(statement);
  };
  const caughtUp: Bench["caughtUp"] = async (run) => {
    const id = `${(syncs += 1)}`;
    await client.query("SELECT pg_logical_emit_message(true, $1, $2)", [syncPrefix, id]);
    await run.until((events) => events.some((event) => syncOf(event) === id), `sync ${id}`);
  };
  const start: Bench["start"] = async (config, { lookEveryMs = 60_000, ...more } = {}) => {
    const { messages = [] } = config;
    const run = await fakes.run(paced(lookEveryMs), {
      config: {
        url: made.url,
        slot: `s_${made.name}`,
        ...config,
        messages: [syncPrefix, ...(messages as readonly string[])],
      },
      name: "rows",
      patienceMs: 10_000,
      ...more,
    });
    runs.push(run);
    // What `caughtUp` writes is the harness's own.
    return {
      ...run,
      get events() {
        return run.events.filter((event) => syncOf(event) === undefined);
      },
    };
  };
  return {
    url: made.url,
    database: made.name,
    client,
    sql,
    start,
    streaming: async (config, more) => {
      const run = await start(config, more);
      await snapshots(run, 1);
      await caughtUp(run);
      return run;
    },
    connect: async () => {
      const other = new Client({ connectionString: made.url });
      other.on("error", () => undefined);
      await other.connect();
      return other;
    },
    all,
    together: (...statements) => all("BEGIN", ...statements, "COMMIT"),
    caughtUp,
    slot: async () =>
      (await sql("SELECT * FROM pg_replication_slots WHERE slot_name = $1", [`s_${made.name}`]))[0],
    close: async () => {
      for (const run of runs) await run.stop().catch(() => undefined); // a test may have ended it
      await client.end();
      await made.drop();
    },
  };
}

const syncPrefix = "sync:";
let syncs = 0;

/** A message that `caughtUp` wrote. */
function syncOf(event: SluiceEvent): unknown {
  if (!event.source.endsWith("/messages/sync%3A")) return undefined;
  return (event.data as { readonly after?: { readonly text?: unknown } }).after?.text;
}

/** The source with another pace than the user's. */
function paced(lookEveryMs: number): Source {
  return {
    ...postgres,
    // Its config and checkpoint were parsed by the schemas that these are the types of.
    read: (context) => follow(context as SourceContext<Options, Position>, { lookEveryMs }),
  };
}

/** Scenarios, each in a database of its own, on a server of each version. */
export function onServers(
  define: (
    scenario: (name: string, play: (bench: Bench) => Promise<void>, timeoutMs?: number) => void,
    version: 15 | 18,
  ) => void,
  settings?: Readonly<Record<string, string>>,
): void {
  for (const version of [15, 18] as const)
    describe(`postgres ${version}`, () => {
      let server: PostgresServer;
      beforeAll(async () => {
        server = await startPostgres({ version, ...(settings && { settings }) });
      });
      afterAll(() => server?.stop());
      define((name, play, timeoutMs = 30_000) => {
        it(
          name,
          async () => {
            const bench = await openBench(server);
            try {
              await play(bench);
            } finally {
              await bench.close();
            }
          },
          timeoutMs,
        );
      }, version);
    });
}

/** Events of tables, without those of messages that `caughtUp` wrote. */
export function rowEvents(run: Pick<SourceRun, "events">, from = 0): readonly SluiceEvent[] {
  return run.events.slice(from).filter((event) => syncOf(event) === undefined);
}

/** What happened, in order and short: `+ ["1"] {"id":1}`, `- ["1"]`, `x truncate`; a table's name before it where there are several. */
export function story(run: Pick<SourceRun, "events">, from = 0): readonly string[] {
  const events = rowEvents(run, from);
  const hasMany = new Set(events.map(({ source }) => source)).size > 1;
  return events.map((event) => {
    const { subject = "", type, source } = event;
    const data = event.data as {
      readonly after?: JsonObject;
      readonly reason?: string;
      readonly unchanged?: readonly string[];
    };
    const table = hasMany ? `${source.slice(source.lastIndexOf("/") + 1)} ` : "";
    if (type === "dev.sluice.collection.cleared") return `${table}x ${data.reason}`;
    if (type === "dev.sluice.record.deleted") return `${table}- ${subject}`;
    const unchanged = data.unchanged ? ` unchanged ${data.unchanged.join(",")}` : "";
    return `${table}+ ${subject} ${JSON.stringify(data.after)}${unchanged}`;
  });
}

/**
 * Waits until the source has published what makes a sink hold exactly the rows of a table. Their
 * columns must come in texts and numbers as the driver gives them.
 */
export async function expectRows(
  bench: Bench,
  runs: SourceRun | readonly SourceRun[],
  table: string,
  more: {
    readonly select?: string;
    readonly key?: readonly string[];
    readonly source?: string;
  } = {},
): Promise<void> {
  const { select = `SELECT * FROM ${table}`, source = `/public.${table}` } = more;
  const primary = `SELECT a.attname AS name FROM pg_index i JOIN pg_attribute a
     ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
     WHERE i.indrelid = $1::regclass AND i.indisprimary
     ORDER BY array_position(i.indkey::int2[], a.attnum)`;
  const key = more.key ?? (await bench.sql(primary, [table])).map(({ name }) => String(name));
  const subject = (row: Record<string, unknown>) =>
    JSON.stringify(key.map((name) => String(row[name])));
  const now = () =>
    held(
      [runs].flat().flatMap(({ events }) => events),
      source,
    );
  const wanted = async () =>
    Object.fromEntries((await bench.sql(select)).map((row) => [subject(row), row]));
  const isEqual = async () =>
    JSON.stringify(sorted(Object.fromEntries(now()))) === JSON.stringify(sorted(await wanted()));
  await eventually(isEqual, `the rows of ${table}`, 20_000).catch(() => undefined); // shown below
  expect(Object.fromEntries(now())).toEqual(await wanted());
}

function sorted(value: unknown): unknown {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  const entries = Object.entries(value).map(([name, one]) => [name, sorted(one)] as const);
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Waits until the source has completed that many snapshots. */
export async function snapshots(run: SourceRun, count: number): Promise<void> {
  let failure: unknown;
  run.ended.catch((error: unknown) => (failure = error));
  await eventually(() => {
    if (failure) throw failure;
    return lines(run, "snapshot complete").length >= count;
  }, `${count} complete snapshots`);
}

/** What the source logged under a message. */
export function lines(run: SourceRun, message: string | RegExp): readonly object[] {
  const isIt = (text: string) =>
    typeof message === "string" ? text === message : message.test(text);
  return run.lines.flatMap((line) => (isIt(line.message) ? [line.fields] : []));
}

/** How many sweeps of a table there were. */
export function sweeps(events: readonly SluiceEvent[], source = ""): number {
  return events.filter((event) => isSweep(event) && event.source.endsWith(source)).length;
}

export function isSweep(event: SluiceEvent): boolean {
  return event.type === "dev.sluice.collection.cleared" && reasonOf(event) === "sweep";
}

function reasonOf(event: SluiceEvent): unknown {
  return (event.data as { readonly reason?: unknown } | undefined)?.reason;
}

/**
 * What a sink would hold after these events, whatever their order and however often they came:
 * subject → `after`, of one source or all.
 */
export function held(events: readonly SluiceEvent[], source = ""): ReadonlyMap<string, JsonObject> {
  const records = new Map<
    string,
    { version: string; after: JsonObject | undefined; subject: string; source: string }
  >();
  const clears: { source: string; below: string }[] = [];
  for (const event of events) {
    if (syncOf(event) !== undefined) continue; // the harness's own
    const { source, subject = "", type } = event;
    const version = String(event["sequence"]);
    if (type === "dev.sluice.collection.cleared") {
      clears.push({ source, below: version });
      for (const record of records.values())
        if (record.source === source && record.version < version) record.after = undefined;
      continue;
    }
    if (clears.some((clear) => clear.source === source && version < clear.below)) continue;
    const key = `${source} ${subject}`;
    const known = records.get(key);
    if (known && version < known.version) continue;
    const data = event.data as { readonly after?: JsonObject };
    records.set(key, { version, subject, source, after: data.after });
  }
  return new Map(
    [...records.values()]
      .filter((record) => record.after !== undefined && record.source.endsWith(source))
      .map(({ subject, after }) => [subject, after ?? {}]),
  );
}

/** Polls until `what` holds. */
export async function eventually(
  what: () => Promise<boolean> | boolean,
  wanted: string,
  ms = 10_000,
): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await what())) {
    if (performance.now() > deadline) throw new Error(`waited ${ms} ms for ${wanted}`);
    await sleep(20);
  }
}

export { startPostgres };
