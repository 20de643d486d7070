import type { Backend } from "../../backend.ts";
import type { ResolvedConnector } from "../../config/pipeline.ts";
import type { Log } from "../../connector.ts";
import { ConfigError, RetryableError, SluiceError } from "../../errors.ts";
import type { Json } from "../../event.ts";
import { readCheckpoint, writeCheckpoint } from "../checkpoint.ts";
import { removeConnector } from "../remove.ts";
import { askSnapshot } from "../requests.ts";
import type { PipelineStatus } from "../status.ts";
import { whileUsable } from "../while-usable.ts";
import { give, type Order } from "../wishes.ts";
import { openApi } from "./openapi.ts";

/** What the admin API works on. */
export interface Managed {
  readonly names: readonly string[];
  readonly connector: (name: string) => ResolvedConnector | undefined;
  readonly status: () => Promise<PipelineStatus>;
  /** In Prometheus' text format. */
  readonly metrics: () => Promise<string>;
  readonly backend: Backend;
  readonly log: Log;
}

export interface Answer {
  readonly code: number;
  /** A text goes out as such, anything else as JSON. */
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

type Handle = (
  request: { readonly name: string; readonly body: string },
  managed: Managed,
) => Promise<Answer>;

export interface Route {
  /** As OpenAPI writes it. */
  readonly path: string;
  readonly pattern: RegExp;
  readonly methods: Readonly<Record<string, Handle>>;
}

const removedWithinMs = 60_000;

/** RFC 9457 without what nobody reads: `code` is stable, `detail` for people. */
export function problem(status: number, code: string, detail: string, fix?: string): Answer {
  return { code: status, body: { status, code, detail, ...(fix !== undefined && { fix }) } };
}

export const routes: readonly Route[] = [
  route("/healthz", { GET: async () => ok({ ok: true }) }),
  route("/readyz", { GET: async (_, { status }) => readiness(await status()) }),
  route("/metrics", { GET: async (_, { metrics }) => ok(await metrics()) }),
  route("/openapi.json", { GET: async () => ok(openApi) }),
  route("/connectors", { GET: async (_, { status }) => ok(await status()) }),
  route("/connectors/{name}", {
    GET: async ({ name }, { status }) =>
      ok((await status()).connectors.find((one) => one.name === name)),
    DELETE: guarded(async ({ name }, { connector, backend, log }) => {
      const signal = AbortSignal.timeout(removedWithinMs);
      return ok(await removeConnector(name, connector(name), backend, { log, signal }));
    }),
  }),
  ...(["pause", "resume", "stop", "restart"] as const).map((order) =>
    route(`/connectors/{name}/${order}`, { POST: guarded(ordering(order)) }),
  ),
  route("/connectors/{name}/snapshot", {
    POST: guarded(async ({ name, body }, { connector, backend }) => {
      const one = connector(name);
      if (one?.kind !== "source" || !one.source.capabilities.snapshotOnRequest)
        return problem(409, "admin.no-snapshot", `${name} takes no snapshots on request.`);
      const collections = collectionsOf(body);
      if (!collections)
        return problem(400, "admin.bad-body", 'Write { "collections": ["…"] }, or nothing.');
      const asked = await askSnapshot(backend.state.scope(name).state, collections);
      return { code: 202, body: asked };
    }),
  }),
  route("/connectors/{name}/checkpoint", {
    GET: guarded(async ({ name }, { connector, backend }) => {
      if (connector(name)?.kind !== "source") return noSource(name);
      return ok({ checkpoint: (await readCheckpoint(name, backend))?.value ?? null });
    }),
    PUT: guarded(async ({ name, body }, managed) => {
      const parsed = parse(body);
      if (
        !parsed ||
        typeof parsed.value !== "object" ||
        parsed.value === null ||
        !("checkpoint" in parsed.value)
      )
        return problem(400, "admin.bad-body", 'Write { "checkpoint": … }.');
      return await change(name, parsed.value.checkpoint as Json, managed); // parsed JSON
    }),
    DELETE: guarded(async ({ name }, managed) => await change(name, undefined, managed)),
  }),
];

function route(path: string, methods: Route["methods"]): Route {
  const pattern = path.replace("{name}", "(?<name>[a-z0-9-]+)");
  return { path, pattern: new RegExp(`^${pattern}$`), methods };
}

function ok(body: unknown): Answer {
  return { code: 200, body };
}

function readiness({ connectors, outage }: PipelineStatus): Answer {
  const isReady = new Set(["running", "standby", "paused", "stopped"]);
  const waitingFor = connectors.filter(({ state }) => !isReady.has(state)).map(({ name }) => name);
  const ready = waitingFor.length === 0 && !outage;
  return { code: ready ? 200 : 503, body: { ready, waitingFor, ...(outage && { outage }) } };
}

function ordering(order: Order): Handle {
  return async ({ name }, { connector, backend }) => {
    const { initialState: initial = "running" } = connector(name) ?? {};
    return { code: 202, body: await give(order, name, { place: backend.state, initial }) };
  };
}

async function change(name: string, value: Json | undefined, managed: Managed): Promise<Answer> {
  const { connector, backend, log } = managed;
  const source = connector(name);
  if (source?.kind !== "source") return noSource(name);
  await writeCheckpoint(source, value, backend, log);
  return ok({ checkpoint: value ?? null });
}

function noSource(name: string): Answer {
  return problem(409, "admin.no-source", `${name} is no source: only those have checkpoints.`);
}

/** What the client or the place is to blame for is no failure of ours; while the place is away nothing is begun. */
function guarded(handle: Handle): Handle {
  return async (request, managed) => {
    try {
      return await whileUsable(managed.backend, (backend) =>
        handle(request, { ...managed, backend }),
      );
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      const { code, message, fix } = error;
      if (error instanceof RetryableError) return problem(503, code, message, fix);
      if (code === "connector.running" || code === "remove.origin")
        return problem(409, code, message, fix);
      if (error instanceof ConfigError) return problem(400, code, message, fix);
      throw error;
    }
  };
}

function parse(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined; // answered with 400
  }
}

/** Undefined for a body that says something else. */
function collectionsOf(body: string): { readonly collections?: readonly string[] } | undefined {
  if (body.trim() === "") return {};
  const value = parse(body)?.value;
  if (value === null || typeof value !== "object") return undefined;
  const { collections, ...rest } = value as { readonly collections?: unknown };
  if (Object.keys(rest).length > 0) return undefined;
  if (collections === undefined) return {};
  const isList = (some: unknown): some is readonly string[] =>
    Array.isArray(some) && some.length > 0 && some.every((one) => typeof one === "string");
  return isList(collections) ? { collections } : undefined;
}
