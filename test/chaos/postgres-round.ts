import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { render } from "../../connectors/transforms/render/render.ts";
import { upserted, type RecordUpserted } from "../../core/event.ts";
import { version } from "../../core/version.ts";
import type { PostgresServer } from "../postgres-server.ts";
import type { RedisServer } from "../redis-server.ts";
import { changingDatabase, prepareDatabase } from "./database.ts";
import { documentsOf } from "./oracle.ts";
import { startPipelineProcess, type PipelineProcess } from "./pipeline-process.ts";
import { seeded } from "./random.ts";
import type { RoundResult } from "./round.ts";
import { settle } from "./settle.ts";

/** A backlog of single changes is a write each. */
const settleWithinMs = (changes: number) => 90_000 + 60 * changes;
/** Notes have no title. */
const rendering = { template: "{{ title }}\n\n{{ body }}", missing: "empty" };

/**
 * Plays one round: random transactions while our process, the database and Redis are killed at random
 * moments; in the end the index must equal `SELECT`.
 */
export async function playPostgresRound(options: {
  readonly dir: string;
  readonly seed: number;
  readonly changes: number;
  readonly kills: number;
  readonly postgres: PostgresServer;
  readonly redis: RedisServer | undefined;
}): Promise<RoundResult> {
  const { dir, seed, changes, kills, postgres, redis } = options;
  const random = seeded(seed);
  const { url, drop } = await postgres.createDatabase();
  const project = `chaos-${seed}`;
  const config = join(dir, "sluice.json");
  await mkdir(dir, { recursive: true });
  await writeFile(
    config,
    JSON.stringify(pipelineFile({ project, url, queue: redis?.url }), null, 2),
  );
  const admin = await connect(url);
  await prepareDatabase(admin);
  await admin.end();

  let client: Client | undefined;
  /** Across restarts of the server: a change that was cut off did not happen, or did; SELECT says. */
  const query = async (sql: string, parameters: readonly unknown[] = []) => {
    client ??= await connect(url);
    try {
      return await client.query(sql, [...parameters]);
    } catch (error) {
      if (isAnswer(error)) {
        await client.query("ROLLBACK").catch(() => undefined); // a clash of two random keys
        return undefined;
      }
      client = undefined;
      return undefined;
    }
  };
  const database = changingDatabase(query, random);
  const hits = new Map<number, "ours" | "postgres" | "redis">();
  for (let n = 0; n < kills; n++)
    hits.set(random.below(changes), random.pick(["ours", "ours", "ours", "postgres", "redis"]));

  const log = join(dir, "log.ndjson");
  let pipeline: PipelineProcess = startPipelineProcess(config, log);
  let killed = 0;
  try {
    for (let change = 0; change < changes; change++) {
      await database.change(change > changes - 40);
      if (random.next() < 0.1) await sleep(random.below(20));
      const hit = hits.get(change);
      if (hit === undefined) continue;
      await sleep(random.below(1_500));
      killed += 1;
      if (hit === "postgres") await postgres.restart();
      else if (hit === "redis" && redis) await redis.restart();
      else {
        await pipeline.kill();
        for (let unseen = random.below(20); unseen > 0; unseen--) await database.change();
        pipeline = startPipelineProcess(config, log);
      }
      if (!pipeline.isRunning()) break;
    }

    const settled = await settle({
      dir,
      index: "rows",
      project,
      redisUrl: redis?.url,
      pipeline,
      wanted: async () => {
        const reader = await connect(url);
        try {
          const records = await recordsOf(reader);
          const documents = await documentsOf(records, render, rendering);
          return { records: records.length, documents };
        } finally {
          await reader.end();
        }
      },
      withinMs: settleWithinMs(changes),
    });
    return { seed, kills: killed, changes, ...settled };
  } finally {
    await pipeline.kill();
    await client?.end();
    await drop();
  }
}

async function connect(url: string): Promise<Client> {
  for (let tries = 0; ; tries++) {
    const client = new Client({ connectionString: url });
    client.on("error", () => undefined); // the server is restarted at will
    try {
      await client.connect();
      return client;
    } catch (error) {
      if (tries > 100) throw error;
      await sleep(100);
    }
  }
}

/** The server refused the statement, and lives. */
function isAnswer(error: unknown): boolean {
  const code = (error as { readonly code?: unknown }).code;
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) && !code.startsWith("57");
}

/** Every row as a source would tell it. */
async function recordsOf(client: Client): Promise<readonly RecordUpserted[]> {
  const articles = await client.query<Record<string, string>>(
    "SELECT id::text, title, body FROM articles",
  );
  const notes = await client.query<Record<string, string>>(
    "SELECT area, no::text, body FROM notes",
  );
  const database = (await client.query<{ name: string }>("SELECT current_database() AS name"))
    .rows[0]?.name;
  const record = (table: string, key: readonly string[], after: Record<string, string>) =>
    upserted({
      source: `/postgres/${database}/public.${table}`,
      key: {},
      subject: JSON.stringify(key),
      version: version({ epoch: 1, position: 1n, rank: 0, tail: 0 }),
      time: new Date().toISOString(),
      op: "read",
      after,
      meta: {},
    });
  return [
    ...articles.rows.map((row) => record("articles", [row["id"] ?? ""], row)),
    ...notes.rows.map((row) => record("notes", [row["area"] ?? "", row["no"] ?? ""], row)),
  ];
}

function pipelineFile(options: {
  project: string;
  url: string;
  queue: string | undefined;
}): object {
  const { project, url, queue = "embedded" } = options;
  return {
    project,
    queue,
    connectors: [
      {
        name: "database",
        source: "postgres",
        to: "rows",
        config: {
          url,
          tables: ["articles", "notes"],
          chunkRows: 25,
          heartbeatMs: 2_000,
          slot: project.replaceAll("-", "_"),
        },
      },
      {
        name: "search",
        sink: "pinecone",
        from: "rows",
        transforms: [
          { use: "render", config: rendering },
          { use: "chunk", config: { maxTokens: 60 } },
        ],
        config: { index: "rows", local: ".sluice/pinecone", embedding: { provider: "hash" } },
      },
    ],
  };
}
