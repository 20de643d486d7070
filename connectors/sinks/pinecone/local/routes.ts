import type { Answer, Call, Handler } from "./call.ts";
import {
  configureIndex,
  createIndex,
  createIndexForModel,
  deleteIndex,
  describeIndex,
  listIndexes,
  type ControlCall,
} from "./control.ts";
import { fetchByIds, fetchByMetadata } from "./fetch.ts";
import { embedTexts, rerank } from "./inference.ts";
import { list } from "./list.ts";
import { describeModel, listModels } from "./models.ts";
import {
  createNamespace,
  deleteNamespace,
  describeNamespace,
  listNamespaces,
} from "./namespaces.ts";
import { query } from "./query.ts";
import { searchRecords, upsertRecords } from "./records.ts";
import { invalid, unsupported } from "./refusal.ts";
import type { ReadKind } from "./settings.ts";
import { stats } from "./stats.ts";
import type { TextModel } from "./text-model.ts";
import { remove, update, upsert } from "./write.ts";

/** What a request means. `operation` names it in the log, the counters and the rate limits. */
export type Route = {
  readonly operation: string;
  /** Its body is JSON a line, which it parses itself. */
  readonly lines?: boolean;
} & (
  | {
      readonly plane: "control";
      readonly kind: "read" | "write";
      readonly run: (call: ControlCall) => Answer;
    }
  | {
      readonly plane: "data";
      readonly kind: "read" | "write";
      readonly run: Handler;
      /** The kind of read that settings can make fresh. */
      readonly reads?: ReadKind;
    }
  | { readonly plane: "records"; readonly run: (call: RecordsCall) => Promise<Answer> }
  | {
      readonly plane: "inference";
      readonly run: (call: InferenceCall) => Answer | Promise<Answer>;
    }
);

/** A call that embeds texts, and so runs transactions of its own before or after. */
export interface RecordsCall extends Omit<Call, "trial" | "database"> {
  readonly model: TextModel;
  readonly read: (run: Handler, body: unknown) => Answer;
  readonly write: (run: Handler, body: unknown) => Promise<Answer>;
  readonly text: string;
}

export interface InferenceCall {
  readonly model: TextModel;
  readonly query: URLSearchParams;
  readonly body: unknown;
  readonly subject: string;
}

const control = (operation: string, kind: "read" | "write", run: (call: ControlCall) => Answer) =>
  ({ plane: "control", operation, kind, run }) as const;
const read = (operation: string, run: Handler, reads?: ReadKind) =>
  ({ plane: "data", operation, kind: "read", run, ...(reads && { reads }) }) as const;
const write = (operation: string, run: Handler) =>
  ({ plane: "data", operation, kind: "write", run }) as const;

/** Method and path; a `*` is the subject. */
const routes: Readonly<Record<string, Route>> = {
  "POST /indexes": control("create_index", "write", createIndex),
  "POST /indexes/create-for-model": control("create_for_model", "write", createIndexForModel),
  "GET /indexes": control("list_indexes", "read", listIndexes),
  "GET /indexes/*": control("describe_index", "read", describeIndex),
  "PATCH /indexes/*": control("configure_index", "write", configureIndex),
  "DELETE /indexes/*": control("delete_index", "write", deleteIndex),
  "POST /vectors/upsert": write("upsert", upsert),
  "POST /vectors/update": write("update", update),
  "POST /vectors/delete": write("delete", remove),
  "GET /vectors/fetch": read("fetch", fetchByIds, "fetch"),
  "POST /vectors/fetch_by_metadata": read("fetch", fetchByMetadata, "fetch_by_metadata"),
  "GET /vectors/list": read("list", list, "list"),
  "POST /query": read("query", query, "query"),
  "POST /describe_index_stats": read("stats", stats, "stats"),
  "GET /describe_index_stats": read("stats", stats, "stats"),
  "POST /namespaces": write("create_namespace", createNamespace),
  "GET /namespaces": read("list_namespaces", listNamespaces),
  "GET /namespaces/*": read("describe_namespace", describeNamespace),
  "DELETE /namespaces/*": write("delete_namespace", deleteNamespace),
  "POST /records/namespaces/*/upsert": {
    plane: "records",
    operation: "upsert",
    lines: true,
    run: upsertRecords,
  },
  "POST /records/namespaces/*/search": {
    plane: "records",
    operation: "query",
    run: searchRecords,
  },
  "POST /embed": { plane: "inference", operation: "embed", run: embedTexts },
  "POST /rerank": { plane: "inference", operation: "rerank", run: rerank },
  "GET /models": {
    plane: "inference",
    operation: "list_models",
    run: ({ query }) => ({ body: listModels(query) }),
  },
  "GET /models/*": {
    plane: "inference",
    operation: "describe_model",
    run: ({ subject }) => ({ body: describeModel(subject) }),
  },
};

/** Every name of an operation. */
export const operations: ReadonlySet<string> = new Set(
  Object.values(routes).map(({ operation }) => operation),
);

const missing: readonly (readonly [RegExp, string])[] = [
  [/^\/indexes\/[^/]+\/backups|^\/backups|^\/restore-jobs|^\/backup-schedules/, "backups"],
  [/^\/collections/, "collections"],
  [/^\/bulk\/imports/, "imports"],
  [/^\/namespaces\/[^/]+\/documents(\/|$)/, "documents"],
  [/^\/(assistant|admin|oauth)(\/|$)/, "assistants and administration"],
];

export interface Routed {
  readonly route: Route;
  /** The index that the path names; `undefined` when it names none. */
  readonly index: string | undefined;
  readonly subject: string;
}

/** What a request means, or `undefined` when it is no call of this API. */
export function routeOf(method: string, given: string): Routed | undefined {
  const [, index, rest] = /^\/i\/([^/]+)(\/.*)$/.exec(given) ?? [];
  const path = rest ?? given;
  for (const [pattern, what] of missing) if (pattern.test(path)) throw unsupported(what);
  const parts = /^(\/(?:records\/namespaces|[a-z]+)\/)([^/]+)(\/(?:upsert|search))?$/.exec(path);
  const [, before = "", subject = "", after = ""] = parts ?? [];
  const route = routes[`${method} ${path}`] ?? routes[`${method} ${before}*${after}`];
  if (route === undefined) return undefined;
  if (index !== undefined && (route.plane === "control" || route.plane === "inference"))
    return undefined;
  return { route, index: index && decoded(index), subject: decoded(subject) };
}

/** Whether errors are told as the control plane does. */
export function isControl(path: string): boolean {
  return /^\/(indexes|models|embed|rerank|backups|collections|restore-jobs|backup-schedules)(\/|$)/.test(
    path,
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
