import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { MessageEvent, SluiceEvent, SourceContext } from "sluice";
import { admit } from "./admit.ts";
import { readBody, textOf, type Budget } from "./body.ts";
import { eventsOf, modeOf, type Sdk } from "./cloud-events.ts";
import type { Options } from "./config.ts";
import { eventOf, type forms } from "./forms.ts";
import { isJson, mediaTypeOf, unknownType } from "./media-type.ts";
import { invalid, Refusal } from "./refusal.ts";

/** What is needed to make events of a request. */
export interface Intake {
  readonly context: Pick<SourceContext<Options, unknown>, "name" | "config" | "signal" | "log">;
  readonly sdk: Sdk;
  readonly budget: Budget;
}

export type Path = "/" | keyof typeof forms;

/** Throws `Refusal` 404 and 405. */
export function pathOf({ url = "/", method = "" }: IncomingMessage): Path {
  const path = url.split("?")[0] ?? "";
  if (path !== "/" && path !== "/questions" && path !== "/feedback")
    throw new Refusal(404, `there is no ${path.slice(0, 100)}.`, {
      fix: "POST events to /, questions to /questions, feedback to /feedback.",
    });
  if (method !== "POST")
    throw new Refusal(405, `${method} is not taken.`, {
      fix: "POST it.",
      headers: { allow: "POST" },
    });
  return path;
}

/**
 * Reads the events of a request, each of them let in, none of them published yet. `release` gives the
 * memory that they take back. Throws `Refusal`.
 */
export async function eventsIn(
  intake: Intake,
  path: Path,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<{
  readonly events: readonly SluiceEvent[];
  readonly bytes: number;
  readonly release: () => void;
}> {
  const { context, budget } = intake;
  const { maxBytes, types } = context.config;
  const parse = parserOf(intake, path, request.headers);
  if (request.headers.expect !== undefined) response.writeContinue();
  const { signal } = context;
  const { body, release } = await readBody(request, { maxBytes, budget, signal });
  try {
    const sent = parse(body);
    if (sent.length === 0) throw invalid("there is no event in it.");
    return { events: admit(sent, types), bytes: body.length, release };
  } catch (error) {
    release();
    throw error;
  }
}

/** What makes events of the body. Throws `Refusal` where its headers say already that it cannot. */
function parserOf(
  { context, sdk }: Intake,
  path: Path,
  headers: IncomingHttpHeaders,
): (body: Buffer) => readonly MessageEvent[] {
  if (path === "/") {
    const mode = modeOf(headers);
    return (body) => eventsOf(sdk, mode, headers, body);
  }
  const type = mediaTypeOf(headers);
  if (!isJson(type)) throw unknownType(type, "application/json");
  const sent = headers["idempotency-key"];
  const key = typeof sent === "string" && sent !== "" ? sent : undefined;
  return (body) => [eventOf(path, `/http/${encodeURIComponent(context.name)}`, textOf(body), key)];
}
