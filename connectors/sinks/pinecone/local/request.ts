import type { IncomingMessage } from "node:http";
import { namespaceOf } from "./api.ts";
import { parseBody, readBody, type Body } from "./body.ts";
import { notFound } from "./refusal.ts";
import { routeOf, type Routed } from "./routes.ts";

/** A request as it was read. */
export interface Asked {
  readonly method: string;
  /** With the query string, as it came. */
  readonly url: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Body;
  readonly headers: IncomingMessage["headers"];
}

/** What it means, as far as that can be told; `error` says why it cannot. */
export interface Understood {
  readonly routed: Routed | undefined;
  readonly body: unknown;
  readonly error: unknown;
  readonly operation: string | undefined;
  readonly index: string | undefined;
  readonly namespace: string;
}

export async function read(request: IncomingMessage): Promise<Asked> {
  const { method = "GET", url = "/", headers } = request;
  const [pathname = "/", search = ""] = url.split("?", 2);
  return {
    method,
    url,
    // A host that ends with a slash makes clients send two.
    path: pathname.replaceAll(/\/{2,}/g, "/"),
    query: new URLSearchParams(search),
    body: await readBody(request),
    headers,
  };
}

export function understand(asked: Asked): Understood {
  let routed: Routed | undefined;
  let body: unknown;
  let error: unknown;
  try {
    routed = routeOf(asked.method, asked.path);
    if (routed === undefined)
      throw notFound(`${asked.method} ${asked.path} is not a call of this API`);
    body = parseBody(asked.body, asked.path, routed.route.lines === true);
  } catch (caught) {
    error = caught;
  }
  return {
    routed,
    body,
    error,
    operation: routed?.route.operation,
    index: routed?.index,
    namespace: namespaceOf(routed, { query: asked.query, body }),
  };
}
