import type { Answer, Call, Handler, IndexRow } from "./call.ts";
import { advance, findNamespace, nextChange } from "./namespace.ts";
import { dueOf, enqueue, type Operation } from "./pending.ts";
import { invalid, notFound } from "./refusal.ts";
import { applyRemove, parseRemove } from "./remove.ts";
import { targets } from "./targets.ts";
import { applyUpdate, parseUpdate } from "./update.ts";
import { applyUpsert, checkTwice, parseUpsert } from "./upsert.ts";

export const upsert: Handler = (call) => {
  const { database, index, settings, body } = call;
  checkServesVectors(index);
  const request = parseUpsert(body, index);
  if (settings.strictDuplicates) checkTwice(request.vectors);
  const write = accept(call, request.namespace, "upsert", (home, change) =>
    applyUpsert(database, home, change, request),
  );
  return { body: { upsertedCount: request.vectors.length }, ...write };
};

export const update: Handler = (call) => {
  const { database, index, body } = call;
  checkServesVectors(index);
  const request = parseUpdate(body, index);
  const home = findNamespace(database, index.id, request.namespace);
  const numbers = home?.live === true ? targets({ ...call, home }, request.target) : [];
  const counted = "filter" in request.target ? { matchedRecords: numbers.length } : {};
  if (home?.live !== true || request.dryRun) return { body: counted };
  const write = accept(call, request.namespace, "update", (_home, change) =>
    applyUpdate(database, numbers, change, request),
  );
  return { body: counted, ...write };
};

export const remove: Handler = (call) => {
  const { database, index, body } = call;
  checkServesVectors(index);
  const { namespace, target } = parseRemove(body);
  const home = findNamespace(database, index.id, namespace);
  if (home?.live !== true) throw notFound("Namespace not found");
  const numbers = target === "all" ? target : targets({ ...call, home }, target);
  const write = accept(call, namespace, "remove", (home, change) =>
    applyRemove(database, home, change, numbers),
  );
  return { body: {}, ...write };
};

/** Refuses to write vectors where documents belong. Reads find nothing there, as with the real service. */
export function checkServesVectors({ documents }: IndexRow): void {
  if (documents)
    throw invalid(
      "This index has a document schema, so writes must go through the documents API. This server does not have it",
    );
}

/** Takes an LSN, and applies the write now or puts it behind those that wait. */
function accept(
  { database, index, body, settings }: Call,
  namespace: string,
  operation: Operation,
  apply: (home: number, change: number) => void,
): Answer {
  const home = advance(database, index.id, namespace);
  const due = dueOf(database, home, settings, index.name);
  if (due === "now") {
    apply(home.id, nextChange(database, home.id));
    database.run("UPDATE namespaces SET visible = lsn WHERE id = ?", [home.id]);
  } else enqueue(database, home, { operation, body, due });
  return { written: home.lsn };
}
