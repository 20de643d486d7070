import { z } from "sluice";
import { parsed, type Answer, type IndexRow, type Metric } from "./call.ts";
import type { Database, Row } from "./database.ts";
import { invalid, notFound, Refusal, unsupported } from "./refusal.ts";

const settings = z.object({
  cloud: z.string(),
  region: z.string(),
  deletion_protection: z.enum(["enabled", "disabled"]).default("disabled"),
  tags: z.record(z.string(), z.string()).default({}),
});
const metric = z.enum(["cosine", "dotproduct", "euclidean"]).default("cosine");
const dimension = z.number().int().min(1).max(20_000);
const place = z.object({ cloud: z.string(), region: z.string() });

/** Client 8.2 describes the vectors beside the spec, client 9.0 as a field of a schema. */
const create = z.object({
  name: z.string(),
  vector_type: z.string().nullish(),
  dimension: dimension.nullish(),
  metric,
  spec: z.object({ serverless: place }).nullish(),
  deployment: place.nullish(),
  schema: z.object({ fields: z.record(z.string(), z.looseObject({ type: z.string() })) }).nullish(),
  deletion_protection: settings.shape.deletion_protection,
  tags: settings.shape.tags,
});
const denseField = z.object({ dimension, metric });
const configure = settings.pick({ deletion_protection: true, tags: true }).partial();

/** One request about indexes, inside a transaction. `address` is where this server listens. */
export interface ControlCall {
  readonly database: Database;
  readonly name: string;
  readonly body: unknown;
  readonly address: string;
}

export function createIndex({ database, body, address }: ControlCall): Answer {
  const wanted = parsed(create, body);
  checkName(wanted.name);
  if (wanted.vector_type === "sparse") throw unsupported("sparse-only indexes");
  const field = Object.values(wanted.schema?.fields ?? {}).find(
    ({ type }) => type === "dense_vector",
  );
  const dense = parsed(denseField, field ?? wanted);
  if (findIndex(database, wanted.name) !== undefined) {
    throw new Refusal(409, 6, `Resource ${wanted.name} already exists`);
  }
  const { cloud, region } = wanted.spec?.serverless ??
    wanted.deployment ?? { cloud: "aws", region: "us-east-1" };
  const kept = {
    cloud,
    region,
    deletion_protection: wanted.deletion_protection,
    tags: wanted.tags,
  };
  database.run("INSERT INTO indexes (name, dimension, metric, settings) VALUES (?, ?, ?, ?)", [
    wanted.name,
    dense.dimension,
    dense.metric,
    JSON.stringify(kept),
  ]);
  return { status: 201, body: shown(needIndex(database, wanted.name), address) };
}

export function listIndexes({ database, address }: ControlCall): Answer {
  const rows = database.rows("SELECT * FROM indexes ORDER BY name");
  return { body: { indexes: rows.map((row) => shown(row, address)) } };
}

export function describeIndex({ database, name, address }: ControlCall): Answer {
  return { body: shown(needIndex(database, name), address) };
}

export function configureIndex({ database, name, body, address }: ControlCall): Answer {
  const { deletion_protection, tags } = parsed(configure, body);
  const stored = settingsOf(needIndex(database, name));
  // A tag set to "" is removed, as the real service does.
  const merged = Object.entries({ ...stored.tags, ...tags }).filter(([, value]) => value !== "");
  database.run("UPDATE indexes SET settings = ? WHERE name = ?", [
    JSON.stringify({
      ...stored,
      deletion_protection: deletion_protection ?? stored.deletion_protection,
      tags: Object.fromEntries(merged),
    }),
    name,
  ]);
  return { body: shown(needIndex(database, name), address) };
}

export function deleteIndex({ database, name }: ControlCall): Answer {
  const row = needIndex(database, name);
  if (settingsOf(row).deletion_protection === "enabled") {
    throw new Refusal(403, 7, "Deletion protection is enabled for this index");
  }
  const id = Number(row["id"]);
  database.run(
    `DELETE FROM vectors WHERE namespace IN (SELECT id FROM namespaces WHERE "index" = ?)`,
    [id],
  );
  database.run(`DELETE FROM namespaces WHERE "index" = ?`, [id]);
  database.run("DELETE FROM indexes WHERE id = ?", [id]);
  return { status: 202 };
}

/** The index a request of the data plane is about: the named one, or the only one. */
export function indexOf(database: Database, name: string | undefined): IndexRow {
  const rows = database.rows("SELECT * FROM indexes");
  const row = name === undefined ? rows[0] : rows.find((row) => row["name"] === name);
  if (name === undefined && rows.length !== 1) {
    throw invalid(
      `the path names no index and there are ${rows.length}: use the host that describe_index gives`,
    );
  }
  if (row === undefined) throw notFound(`Index ${name} not found`);
  return {
    id: Number(row["id"]),
    name: String(row["name"]),
    dimension: Number(row["dimension"]),
    metric: String(row["metric"]) as Metric,
  };
}

function checkName(name: string): void {
  if (!/^[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?$/.test(name)) {
    throw invalid(
      `Name must be 1 to 45 characters of a-z, 0-9 and '-', starting and ending with an alphanumeric character, got '${name}'`,
    );
  }
}

function findIndex(database: Database, name: string): Row | undefined {
  return database.rows("SELECT * FROM indexes WHERE name = ?", [name])[0];
}

function needIndex(database: Database, name: string): Row {
  const row = findIndex(database, name);
  if (row === undefined) throw notFound(`Resource ${name} not found`);
  return row;
}

function settingsOf(row: Row) {
  return settings.parse(JSON.parse(String(row["settings"])));
}

/** The union of what clients 8.2 and 9.0 read. */
function shown(row: Row, address: string) {
  const { cloud, region, deletion_protection, tags } = settingsOf(row);
  const ready = { ready: true, state: "Ready" };
  return {
    name: row["name"],
    dimension: row["dimension"],
    metric: row["metric"],
    vector_type: "dense",
    host: `${address}/i/${String(row["name"])}`,
    deletion_protection,
    tags,
    spec: { serverless: { cloud, region } },
    status: ready,
    schema: { fields: {} },
    deployment: { deployment_type: "managed", cloud, region, environment: region },
    read_capacity: { mode: "OnDemand", status: { state: "Ready" } },
  };
}
