import { z } from "sluice";
import type { Api } from "./api.ts";
import { namespaceName, parsed, type Answer } from "./call.ts";
import { indexOf } from "./control.ts";
import type { Database } from "./database.ts";
import { ruleSchema, type Faults } from "./faults.ts";
import type { RequestLog } from "./log.ts";
import { findNamespace, nextChange } from "./namespace.ts";
import { letGo } from "./pending.ts";
import { notFound } from "./refusal.ts";
import { applyRemove } from "./remove.ts";
import { toRecord } from "./row.ts";
import { settingsSchema, standardSettings, type Settings } from "./settings.ts";
import { targets } from "./targets.ts";
import { applyUpsert, parseUpsert } from "./upsert.ts";
import { checkServesVectors } from "./write.ts";

/** What the admin path reaches. */
export interface Administered {
  readonly database: Database;
  readonly api: Api;
  readonly log: RequestLog;
  readonly faults: Faults;
  readonly settings: { current: Settings };
}

interface Ask {
  readonly query: URLSearchParams;
  readonly body: unknown;
}

export const adminPath = "/_admin";

const place = z.strictObject({ index: z.string(), namespace: namespaceName });
const pageQuery = place.extend({ after: z.string().default("") });
const releaseBody = place.extend({ count: z.number().int().min(1).default(1e9) });
const editBody = place.extend({
  upsert: z.array(z.unknown()).default([]),
  delete: z.array(z.string()).default([]),
});

const calls: Readonly<Record<string, (server: Administered, ask: Ask) => Answer>> = {
  "GET /settings": ({ settings }) => ({ body: settings.current }),
  "PATCH /settings": (server, { body }) =>
    change(server, parsed(settingsSchema, { ...server.settings.current, ...Object(body) })),
  "DELETE /settings": (server) => change(server, standardSettings),
  "GET /requests": ({ log }) => ({ body: { requests: log.requests(), ...log.summary() } }),
  "DELETE /requests": ({ log }) => {
    log.clear();
    return { body: {} };
  },
  "GET /faults": ({ faults }) => ({ body: { faults: faults.list() } }),
  "POST /faults": ({ faults }, { body }) => ({
    status: 201,
    body: { id: faults.add(parsed(ruleSchema, body)) },
  }),
  "DELETE /faults": ({ faults }) => {
    faults.clear();
    return { body: {} };
  },
  "GET /namespaces": ({ database, api }) => {
    const rows = database.rows(
      `SELECT i.name "index", n.name namespace, lsn, visible,
         (SELECT count(*) FROM pending WHERE namespace = n.id) waiting
       FROM namespaces n JOIN indexes i ON i.id = n."index" WHERE live = 1 ORDER BY 1, 2`,
    );
    return { body: { namespaces: rows, memoryBytes: api.mirrors.bytes() } };
  },
  "POST /release": ({ database, api }, { body }) => {
    if (body === undefined) return { body: { released: api.release("all") } };
    const { index, namespace, count } = parsed(releaseBody, body);
    const home = findNamespace(database, indexOf(database, index).id, namespace);
    if (home === undefined) throw notFound("Namespace not found");
    return { body: { released: api.release({ namespace: home.id, count }) } };
  },
  "GET /vectors": ({ database }, { query }) => {
    const { index, namespace, after } = parsed(pageQuery, Object.fromEntries(query));
    const home = findNamespace(database, indexOf(database, index).id, namespace);
    const rows = database.rows(
      "SELECT * FROM vectors WHERE namespace = ? AND id > ? ORDER BY id LIMIT 1000",
      [home?.id ?? 0, after],
    );
    return { body: { vectors: rows.map((row) => toRecord(row)) } };
  },
  "POST /edit": edit,
};

function change({ database, settings }: Administered, next: Settings): Answer {
  database.transaction("write", () => letGo(database, next));
  settings.current = next;
  return { body: next };
}

/** Runs a call below `/_admin`, which the API does not have: what tests set, see and play. */
export function administer(server: Administered, method: string, path: string, ask: Ask): Answer {
  const call = calls[`${method} ${path.slice(adminPath.length)}`];
  if (call === undefined)
    throw notFound(
      `${method} ${path} is no call: there are ${Object.keys(calls).join(", ")} below ${adminPath}`,
    );
  return call(server, ask);
}

/** "Someone else changed the index": no LSN is taken, and memory is told all the same. */
function edit({ database, api: { mirrors } }: Administered, { body }: Ask): Answer {
  const wanted = parsed(editBody, body);
  return database.transaction("write", () => {
    const index = indexOf(database, wanted.index);
    checkServesVectors(index);
    const home = findNamespace(database, index.id, wanted.namespace);
    if (home?.live !== true) throw notFound("Namespace not found");
    const ids = { ids: wanted.delete };
    const gone = targets({ database, mirrors, index, home, trial: false }, ids);
    const change = nextChange(database, home.id);
    if (gone.length > 0) applyRemove(database, home.id, change, gone);
    if (wanted.upsert.length > 0)
      applyUpsert(database, home.id, change, parseUpsert({ vectors: wanted.upsert }, index));
    return { body: { removed: gone.length, upserted: wanted.upsert.length } };
  });
}
