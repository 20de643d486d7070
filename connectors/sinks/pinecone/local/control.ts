import type { Answer, IndexRow, Metric } from "./call.ts";
import type { Database, Row } from "./database.ts";
import { changedIndex } from "./index-changed.ts";
import { areOfDocuments } from "./index-fields.ts";
import { settings, type IndexModel } from "./index-settings.ts";
import { shownIndex } from "./index-shown.ts";
import { wantedIndex, wantedIndexForModel } from "./index-wanted.ts";
import { invalid, notFound, Refusal } from "./refusal.ts";

/** One request about indexes, inside a transaction. `address` is where this server listens. */
export interface ControlCall {
  readonly database: Database;
  readonly name: string;
  readonly body: unknown;
  readonly address: string;
  /** How long a new index says that it is initializing. */
  readonly initializingMs: number;
}

export function createIndex(call: ControlCall): Answer {
  return create(call, wantedIndex(call.body));
}

export function createIndexForModel(call: ControlCall): Answer {
  return create(call, wantedIndexForModel(call.body));
}

export function listIndexes(call: ControlCall): Answer {
  const rows = call.database.rows("SELECT * FROM indexes ORDER BY name");
  return { body: { indexes: rows.map((row) => shown(call, toModel(row))) } };
}

export function describeIndex(call: ControlCall): Answer {
  return { body: shown(call, toModel(needIndex(call))) };
}

export function configureIndex(call: ControlCall): Answer {
  const changed = changedIndex(toModel(needIndex(call)), call.body);
  call.database.run("UPDATE indexes SET settings = ? WHERE name = ?", [
    JSON.stringify(changed.settings),
    changed.name,
  ]);
  return { body: shown(call, changed) };
}

export function deleteIndex(call: ControlCall): Answer {
  const { database } = call;
  const row = needIndex(call);
  if (toModel(row).settings.deletion_protection === "enabled")
    throw new Refusal(
      403,
      7,
      "Deletion protection is enabled for this index. Disable deletion protection before retrying",
    );
  const id = Number(row["id"]);
  for (const table of ["vectors", "pending"])
    database.run(
      `DELETE FROM ${table} WHERE namespace IN (SELECT id FROM namespaces WHERE "index" = ?)`,
      [id],
    );
  database.run(`DELETE FROM namespaces WHERE "index" = ?`, [id]);
  database.run("DELETE FROM indexes WHERE id = ?", [id]);
  return { status: 202 };
}

/** The index a request of the data plane is about: the named one, or the only one. */
export function indexOf(database: Database, name: string | undefined): IndexRow {
  const rows =
    name === undefined
      ? database.rows("SELECT * FROM indexes LIMIT 2")
      : database.rows("SELECT * FROM indexes WHERE name = ?", [name]);
  const [row] = rows;
  if (name === undefined && rows.length !== 1) {
    throw invalid(
      `the path names no index and there are ${rows.length === 0 ? "none" : "several"}: use the host that describe_index gives`,
    );
  }
  if (row === undefined) throw notFound(`Index ${name} not found`);
  return toIndex(row);
}

export function isThere(database: Database, { id }: IndexRow): boolean {
  return database.rows("SELECT 1 FROM indexes WHERE id = ?", [id]).length > 0;
}

export function indexById(database: Database, id: number): IndexRow {
  const [row] = database.rows("SELECT * FROM indexes WHERE id = ?", [id]);
  if (row === undefined) throw new Error(`index ${id} of a namespace is gone`);
  return toIndex(row);
}

function create(call: ControlCall, wanted: IndexModel): Answer {
  const { database } = call;
  if (database.rows("SELECT 1 FROM indexes WHERE name = ?", [wanted.name]).length > 0)
    throw new Refusal(409, 6, `Resource ${wanted.name} already exists`);
  database.run("INSERT INTO indexes (name, dimension, metric, settings) VALUES (?, ?, ?, ?)", [
    wanted.name,
    wanted.dimension,
    wanted.metric,
    JSON.stringify(wanted.settings),
  ]);
  return { status: 201, body: shown(call, wanted) };
}

function needIndex({ database, name }: ControlCall): Row {
  const [row] = database.rows("SELECT * FROM indexes WHERE name = ?", [name]);
  if (row === undefined) throw notFound(`Resource ${name} not found`);
  return row;
}

function shown({ address, initializingMs }: ControlCall, index: IndexModel): object {
  const ready = Date.now() >= index.settings.created + initializingMs;
  return shownIndex(index, { address, ready });
}

function toModel(row: Row): IndexModel {
  return {
    name: String(row["name"]),
    dimension: Number(row["dimension"]),
    metric: String(row["metric"]) as Metric,
    settings: settings.parse(JSON.parse(String(row["settings"]))),
  };
}

function toIndex(row: Row): IndexRow {
  const { name, dimension, metric, settings } = toModel(row);
  const { model, field_map } = settings.embed ?? {};
  return {
    id: Number(row["id"]),
    name,
    dimension,
    metric,
    documents: areOfDocuments(settings.fields),
    embed: model === undefined ? undefined : { model, field: field_map?.["text"] ?? "text" },
  };
}
