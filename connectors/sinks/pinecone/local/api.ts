import { namespaceName, type Answer, type Call, type Handler, type IndexRow } from "./call.ts";
import { indexOf, isThere } from "./control.ts";
import type { Database } from "./database.ts";
import { openGroup } from "./group.ts";
import { isDue, release, type Which } from "./pending.ts";
import { notFound } from "./refusal.ts";
import type { RecordsCall, Route, Routed } from "./routes.ts";
import { openMirrors, type Mirrors } from "./search/mirrors.ts";
import type { ReadKind, Settings } from "./settings.ts";
import type { TextModel } from "./text-model.ts";
import { upsert } from "./write.ts";

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

type Kind = "read" | "write" | "trial";
type Request = Omit<Call, "database" | "mirrors" | "trial">;

export function openApi(given: {
  readonly database: Database;
  readonly readOnly: boolean;
  readonly model: TextModel;
  readonly maxBytes: number;
}): Api {
  const { database, readOnly, model } = given;
  const mirrors = openMirrors(given.maxBytes);
  const group = openGroup(database);
  const oldStats = new Map<number, { readonly at: number; readonly answer: Answer }>();

  const releaseNow = (which: Which): number =>
    database.transaction("write", () => release(database, mirrors, which));

  /** One request, inside the transaction that the caller made. */
  const runIn = (kind: Kind, handler: Handler, request: Request): Answer => {
    // Texts were embedded meanwhile, or another process was faster.
    if (!isThere(database, request.index)) throw notFound(`Index ${request.index.name} not found`);
    const trial = kind === "trial";
    if (trial) release(database, mirrors, "all");
    return handler({ ...request, database, mirrors, trial });
  };

  const releaseDue = (): void => {
    const now = Date.now();
    if (!readOnly && isDue(database, now)) releaseNow({ now });
  };

  const read = (handler: Handler, request: Request, reads?: ReadKind): Answer => {
    releaseDue();
    const isFresh = !readOnly && request.settings.fresh.some((kind) => kind === reads);
    const kind = isFresh ? "trial" : "read";
    return database.transaction(kind, () => runIn(kind, handler, request));
  };

  const write = (handler: Handler, request: Request): Answer | Promise<Answer> => {
    releaseDue();
    const run = (): Answer => runIn("write", handler, request);
    // Of the writes these alone are large, and keep nothing in memory that a failed commit would undo.
    return handler === upsert ? group.write(run) : database.transaction("write", run);
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
      if (route.kind === "write") return write(route.run, request);
      const answer = (): Answer => read(route.run, request, route.reads);
      return route.reads === "stats" ? stats(index, settings.statsDelayMs, answer) : answer();
    }
    const records: RecordsCall = {
      ...request,
      mirrors,
      model,
      text,
      read: (run, body) => read(run, { ...request, body }),
      write: async (run, body) => write(run, { ...request, body }),
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
