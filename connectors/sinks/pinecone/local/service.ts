import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { checkAccess } from "./access.ts";
import { administer, adminPath, type Administered } from "./admin.ts";
import { parseBody } from "./body.ts";
import type { Disturbance, Fault } from "./faults.ts";
import { idsOf } from "./log.ts";
import type { Rates } from "./rates.ts";
import { send, toErrorReply, toReply, type Reply } from "./reply.ts";
import { read, understand, type Asked, type Understood } from "./request.ts";
import { isControl } from "./routes.ts";
import { standardSettings } from "./settings.ts";

export interface Service extends Administered {
  readonly rates: Rates;
  /** The name that the server listens on. */
  readonly host: string;
  readonly apiKey: string | undefined;
  /** For a request without a Host header. */
  readonly address: () => string;
  readonly intercept: Intercept | undefined;
  readonly onWrite: OnWrite | undefined;
}

/** Told of every write that was applied, also where its answer is then lost. */
export type OnWrite = (write: {
  readonly path: string;
  readonly body: string;
  readonly lsn: number;
}) => void;

export type Intercept = (request: {
  readonly method: string;
  readonly path: string;
  readonly body: string;
}) => Fault | undefined;

/** Reads a request and answers it, or does what a fault says. Throws when the connection broke before it was read. */
export async function serve(
  service: Service,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const asked = await read(request);
  if (asked.path.startsWith(`${adminPath}/`)) return send(response, administered(service, asked));

  const started = performance.now();
  const understood = understand(asked);
  const { operation, index, namespace } = understood;
  const { method, url: path, body } = asked;
  const about = { method, path, operation, index, namespace };
  const ids = idsOf(understood.body, asked.query);
  const done = service.log.begin({ ...about, bytes: body.bytes, ids });
  const cut = (): void => {
    done(0);
    request.socket.destroy();
  };

  const fault =
    service.intercept?.({ method, path, body: body.text }) ??
    service.faults.of({ ...about, body: body.text });
  if (fault === "hang") return done(0);
  if (fault === "reset-before") return cut();
  if (typeof fault === "object" && "status" in fault) {
    done(fault.status);
    return send(response, fault);
  }
  const { delayMs = 0, dropHeaders = false, staleLsn = false, ...spoiling } = disturbance(fault);
  if (delayMs > 0) await sleep(delayMs);
  const { status, body: told, headers } = await answered(service, asked, understood, staleLsn);
  if (fault === "reset-after") return cut();
  done(status);
  const latencyMs = String(Math.round(performance.now() - started));
  const all = { "x-pinecone-request-latency-ms": latencyMs, ...headers };
  await send(response, { status, body: told, headers: dropHeaders ? {} : all }, spoiling);
}

function administered(service: Service, asked: Asked): Reply {
  try {
    checkAccess(asked.headers, { ...service, versions: [], plane: "control" });
    const body = parseBody(asked.body, asked.path);
    const answer = administer(service, asked.method, asked.path, { query: asked.query, body });
    return toReply(answer, standardSettings);
  } catch (error) {
    return toErrorReply(error, true);
  }
}

async function answered(
  service: Service,
  asked: Asked,
  { routed, body, error, index = "", namespace }: Understood,
  staleLsn: boolean,
): Promise<Reply> {
  const { headers, query } = asked;
  const settings = service.settings.current;
  try {
    const plane = isControl(asked.path) ? "control" : "data";
    checkAccess(headers, { ...service, versions: settings.versions, plane });
    if (routed === undefined || error !== undefined) throw error;
    if (settings.rateLimits !== null) {
      const cost = { operation: routed.route.operation, index, namespace, body };
      service.rates.spend({ ...cost, bytes: asked.body.bytes }, settings.rateLimits, Date.now());
    }
    // As the client reached us, which may be another name than the one we listen on.
    const address = headers.host === undefined ? service.address() : `http://${headers.host}`;
    const ask = { query, body, text: asked.body.text, address };
    const answer = await service.api.answer(routed, ask, settings);
    const { indexed, written } = answer;
    if (written !== undefined)
      service.onWrite?.({ path: asked.path, body: asked.body.text, lsn: written });
    const isStale = staleLsn && indexed !== undefined;
    return toReply(isStale ? { ...answer, indexed: indexed - 1 } : answer, settings);
  } catch (error) {
    return toErrorReply(error, isControl(asked.path));
  }
}

function disturbance(fault: Fault | undefined): Disturbance {
  return typeof fault === "object" && !("status" in fault) ? fault : {};
}
