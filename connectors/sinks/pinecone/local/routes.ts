import type { Answer, Handler } from "./call.ts";
import {
  configureIndex,
  createIndex,
  deleteIndex,
  describeIndex,
  indexOf,
  listIndexes,
  type ControlCall,
} from "./control.ts";
import type { Database } from "./database.ts";
import {
  createNamespace,
  deleteNamespace,
  describeNamespace,
  listNamespaces,
} from "./namespaces.ts";
import { query } from "./query.ts";
import { invalid, notFound, unsupported } from "./refusal.ts";
import { update } from "./update.ts";
import { fetchByIds, fetchByMetadata, list, remove, stats, upsert } from "./vectors.ts";

type Kind = "read" | "write";
type Control = (call: ControlCall) => Answer;

/** Method and path; a `*` is the subject. */
const control: Readonly<Record<string, readonly [Kind, Control]>> = {
  "POST /indexes": ["write", createIndex],
  "GET /indexes": ["read", listIndexes],
  "GET /indexes/*": ["read", describeIndex],
  "PATCH /indexes/*": ["write", configureIndex],
  "DELETE /indexes/*": ["write", deleteIndex],
};

const data: Readonly<Record<string, readonly [Kind, Handler]>> = {
  "POST /vectors/upsert": ["write", upsert],
  "POST /vectors/update": ["write", update],
  "POST /vectors/delete": ["write", remove],
  "GET /vectors/fetch": ["read", fetchByIds],
  "POST /vectors/fetch_by_metadata": ["read", fetchByMetadata],
  "GET /vectors/list": ["read", list],
  "POST /query": ["read", query],
  "POST /describe_index_stats": ["read", stats],
  "GET /describe_index_stats": ["read", stats],
  "POST /namespaces": ["write", createNamespace],
  "GET /namespaces": ["read", listNamespaces],
  "GET /namespaces/*": ["read", describeNamespace],
  "DELETE /namespaces/*": ["write", deleteNamespace],
};

const missing: readonly (readonly [RegExp, string])[] = [
  [/^\/indexes\/create-for-model$/, "indexes with integrated embedding"],
  [/^\/records\//, "records with integrated embedding"],
  [/^\/bulk\/imports/, "imports"],
  [/^\/namespaces\/[^/]+\/documents\//, "documents"],
];

export interface Request {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: unknown;
}

export function isControl(path: string): boolean {
  return /^\/indexes(\/|$)/.test(path);
}

/** Finds the call a request means and runs it in one transaction. */
export function answer(database: Database, address: string, request: Request): Answer {
  const { method, query, body } = request;
  const [, index, rest] = /^\/i\/([^/]+)(\/.*)$/.exec(request.path) ?? [];
  const path = rest ?? request.path;
  for (const [pattern, what] of missing) if (pattern.test(path)) throw unsupported(what);
  const [, folder, subject] = /^(\/[a-z]+\/)([^/]+)$/.exec(path) ?? [];
  const exact = `${method} ${path}`;
  const starred = `${method} ${folder ?? ""}*`;
  const name = decoded(subject ?? "");

  const onControl = index === undefined ? (control[exact] ?? control[starred]) : undefined;
  if (onControl !== undefined) {
    const [kind, run] = onControl;
    return database.transaction(kind, () => run({ database, name, body, address }));
  }
  const onData = data[exact] ?? data[starred];
  if (onData === undefined) throw notFound(`${method} ${path} is not a call of this API`);
  const [kind, run] = onData;
  return database.transaction(kind, () =>
    run({ database, index: indexOf(database, index), query, body, subject: name }),
  );
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    // The only thing it throws is URIError.
    throw invalid(`'${part}' is not percent-encoded UTF-8`);
  }
}
