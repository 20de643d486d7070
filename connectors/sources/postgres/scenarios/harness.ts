import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import type { JsonObject, SluiceEvent } from "sluice";
import { fakes, type FakeState, type SourceRun } from "sluice/testing";
import { startPostgres, type PostgresServer } from "../../../../test/postgres-server.ts";
import { postgres } from "../postgres.ts";

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
    },
  ) => Promise<SourceRun>;
  /** `start`, and waits until the first snapshot is complete. */
  readonly streaming: (
    config: JsonObject,
    more?: { readonly state?: FakeState },
  ) => Promise<SourceRun>;
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
  const start: Bench["start"] = async (config, more = {}) => {
    const run = await fakes.run(postgres, {
      config: { url: made.url, slot: `s_${made.name}`, ...config },
      name: "rows",
      patienceMs: 10_000,
      ...more,
    });
    runs.push(run);
    return run;
  };
  return {
    url: made.url,
    database: made.name,
    client,
    sql,
    start,
    streaming: async (config, more) => {
      const run = await start(config, more);
      await run.until((events) => events.some(isSweep), "the end of the first snapshot");
      return run;
    },
    slot: async () =>
      (await sql("SELECT * FROM pg_replication_slots WHERE slot_name = $1", [`s_${made.name}`]))[0],
    close: async () => {
      for (const run of runs) await run.stop().catch(() => undefined); // a test may have ended it
      await client.end();
      await made.drop();
    },
  };
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
