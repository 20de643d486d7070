import { namespaceName, type Answer, type Call, type Handler, type IndexRow } from "./call.ts";
import { indexOf, isThere } from "./control.ts";
import type { Database } from "./database.ts";
import { isDue, release, type Which } from "./pending.ts";
import { notFound } from "./refusal.ts";
import type { RecordsCall, Route, Routed } from "./routes.ts";
import { openMirrors, type Mirrors } from "./search/mirrors.ts";
import type { Settings } from "./settings.ts";
import type { TextModel } from "./text-model.ts";

/** A request that is allowed, undisturbed and understood. */
export interface Ask {
  readonly query: URLSearchParams;
  readonly body: unknown;
  readonly text: string;
  /** Where the client reached this server. */
  readonly address: string;
}

/** The calls of the API over one file. */
export interface Api {
  /** Throws a `Refusal` for a client's mistake. */
  readonly answer: (routed: Routed, ask: Ask, settings: Settings) => Answer | Promise<Answer>;
  /** Makes waiting writes visible. Says how many. */
  readonly release: (which: Which) => number;
  readonly mirrors: Mirrors;
}

export function openApi(given: {
  readonly database: Database;
  readonly readOnly: boolean;
  readonly model: TextModel;
  readonly maxBytes: number;
}): Api {
  const { database, readOnly, model } = given;
  const mirrors = openMirrors(given.maxBytes);
  const oldStats = new Map<number, { readonly at: number; readonly answer: Answer }>();

  const releaseNow = (which: Which): number =>
    database.transaction("write", () => release(database, mirrors, which));

  const call = (
    route: { readonly kind: "read" | "write"; readonly run: Handler; readonly reads?: string },
    request: Omit<Call, "database" | "mirrors" | "trial">,
  ): Answer => {
    const now = Date.now();
    if (!readOnly && isDue(database, now)) releaseNow({ now });
    const isFresh = !readOnly && request.settings.fresh.some((kind) => kind === route.reads);
    return database.transaction(isFresh ? "trial" : route.kind, () => {
      // Texts were embedded meanwhile, or another process was faster.
      if (!isThere(database, request.index))
        throw notFound(`Index ${request.index.name} not found`);
      if (isFresh) release(database, mirrors, "all");
      return route.run({ ...request, database, mirrors, trial: isFresh });
    });
  };

  const stats = (index: IndexRow, delayMs: number, answer: () => Answer): Answer => {
    const old = oldStats.get(index.id);
    if (delayMs > 0 && old !== undefined && Date.now() - old.at < delayMs) return old.answer;
    const fresh = { at: Date.now(), answer: answer() };
    oldStats.set(index.id, fresh);
    return fresh.answer;
  };

  const data = (
    route: Route & { readonly plane: "data" | "records" },
    { index: name, subject }: Routed,
    { query, body, text }: Ask,
    settings: Settings,
  ): Answer | Promise<Answer> => {
    const index = database.transaction("read", () => indexOf(database, name));
    const request = { index, settings, query, body, subject };
    if (route.plane === "data") {
      if (route.reads !== "stats") return call(route, request);
      return stats(index, settings.statsDelayMs, () => call(route, request));
    }
    const records: RecordsCall = {
      ...request,
      mirrors,
      model,
      text,
      within: (kind, body, run) => call({ kind, run }, { ...request, body }),
    };
    return route.run(records);
  };

  return {
    answer: (routed, ask, settings) => {
      const { route, subject } = routed;
      switch (route.plane) {
        case "control": {
          const { body, address } = ask;
          const { initializingMs } = settings;
          return database.transaction(route.kind, () =>
            route.run({ database, name: subject, body, address, initializingMs }),
          );
        }
        case "inference":
          return route.run({ model, query: ask.query, body: ask.body, subject });
        case "data":
        case "records":
          return data(route, routed, ask, settings);
      }
    },
    release: releaseNow,
    mirrors,
  };
}

/** The namespace that a request is about, wherever it says so. */
export function namespaceOf(routed: Routed | undefined, ask: Pick<Ask, "query" | "body">): string {
  if (routed?.route.plane === "records") return routed.subject;
  const { namespace } = Object(ask.body) as { namespace?: unknown };
  return namespaceName.safeParse(namespace ?? ask.query.get("namespace")).data ?? "";
}
