import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { MessageEvent, SluiceEvent, SourceContext } from "sluice";
import { admit } from "./admit.ts";
import type { Answers, Place } from "./answers.ts";
import { readBody, type Budget } from "./body.ts";
import { eventsOf, isJson, mediaTypeOf, modeOf, unknownType, type Sdk } from "./cloud-events.ts";
import type { Options } from "./config.ts";
import type { Desk } from "./desk.ts";
import { eventOf, forms } from "./forms.ts";
import { guard, type Guard } from "./guard.ts";
import { invalid, Refusal, unavailable } from "./refusal.ts";
import { send, toProblem, type Reply } from "./reply.ts";
import { openStream } from "./stream.ts";
import { wishOf, type Wish } from "./wish.ts";

export interface Serving {
  readonly context: Pick<SourceContext<Options, unknown>, "name" | "config" | "signal" | "log">;
  readonly sdk: Sdk;
  readonly desk: Desk;
  readonly budget: Budget;
  /** Undefined where no topic of answers is named. */
  readonly answers: Answers | undefined;
}

/** Answers every request, whatever comes. */
export function handler(
  serving: Serving,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const { context } = serving;
  const { signal, log } = context;
  const admitted = guard(context.config);
  return async (request, response) => {
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    try {
      const reply = await answer(serving, admitted, request, response, gone.signal);
      if (reply) send(response, reply, signal.aborted);
    } catch (error) {
      if (gone.signal.aborted) return; // nobody is there to be told
      if (!(error instanceof Refusal)) log.error({ error }, "a request failed");
      const refusal =
        error instanceof Refusal ? error : new Refusal(500, "the source failed on this request.");
      if (response.headersSent) response.destroy();
      else send(response, toProblem(refusal), signal.aborted);
    }
  };
}

/** Undefined: the response was streamed. */
async function answer(
  serving: Serving,
  admitted: Guard,
  request: IncomingMessage,
  response: ServerResponse,
  gone: AbortSignal,
): Promise<Reply | undefined> {
  const { context, desk, answers } = serving;
  const { config } = context;
  if (context.signal.aborted) throw unavailable("the source is stopping.");
  admitted(request.headers);
  const path = pathOf(request);
  const wish = wishOf(request.headers, config.maxWaitSeconds);
  if (wish && !answers)
    throw invalid(
      "this source does not know where answers are published.",
      'Set "answers": "<topic>" in its config, or ask without Prefer: wait and Accept: text/event-stream.',
    );
  const { events, bytes, release } = await eventsIn(serving, path, request, response);
  let place: Place | undefined;
  try {
    if (wish) place = answers?.expect(correlationOf(events));
    await desk.put(events, bytes, { signal: gone });
    release();
    const ids = events.map(({ id }) => id);
    const taken = path === "/" ? { ids } : { id: ids[0] };
    if (wish && place) return await answered(wish, place, taken, response, gone);
    return { status: 202, type: "application/json", body: taken };
  } finally {
    release();
    place?.free();
  }
}

type Path = "/" | keyof typeof forms;

function pathOf({ url = "/", method = "" }: IncomingMessage): Path {
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

async function eventsIn(
  serving: Serving,
  path: Path,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<{
  readonly events: readonly SluiceEvent[];
  readonly bytes: number;
  readonly release: () => void;
}> {
  const { context, budget } = serving;
  const { maxBytes, types } = context.config;
  const parse = parserOf(serving, path, request.headers);
  if (request.headers.expect !== undefined) response.writeContinue();
  const { signal } = context;
  const { text, bytes, release } = await readBody(request, { maxBytes, budget, signal });
  try {
    const sent = parse(text);
    if (sent.length === 0) throw invalid("there is no event in it.");
    return { events: admit(sent, types), bytes, release };
  } catch (error) {
    release();
    throw error;
  }
}

/** What makes events of the body. Throws `Refusal` where its headers say already that it cannot. */
function parserOf(
  { context, sdk }: Serving,
  path: Path,
  headers: IncomingHttpHeaders,
): (text: string) => readonly MessageEvent[] {
  if (path === "/") {
    const mode = modeOf(headers);
    return (text) => eventsOf(sdk, mode, headers, text);
  }
  const type = mediaTypeOf(headers);
  if (!isJson(type)) throw unknownType(type);
  const sent = headers["idempotency-key"];
  const key = typeof sent === "string" && sent !== "" ? sent : undefined;
  return (text) => [eventOf(path, `/http/${encodeURIComponent(context.name)}`, text, key)];
}

function correlationOf(events: readonly SluiceEvent[]): string {
  const [only] = events;
  const correlation = only?.type === "dev.sluice.question.asked" && only.correlationid;
  if (events.length === 1 && typeof correlation === "string") return correlation;
  throw invalid(
    "only the answer to one question can be waited for.",
    "Send one question a request, or leave out Prefer: wait and Accept: text/event-stream.",
  );
}

async function answered(
  { kind, waitMs }: Wish,
  place: Place,
  taken: object,
  response: ServerResponse,
  gone: AbortSignal,
): Promise<Reply | undefined> {
  if (kind === "wait") {
    const headers = { "preference-applied": `wait=${waitMs / 1_000}` };
    const found = await place.wait(waitMs, { signal: gone });
    return typeof found === "string"
      ? { status: 202, type: "application/json", body: taken, headers }
      : { status: 200, type: "application/cloudevents+json", body: found, headers };
  }
  const stream = openStream(response);
  stream.send("accepted", taken);
  const found = await place.wait(waitMs, { signal: gone });
  if (typeof found === "string") stream.send("unanswered", { ...taken, reason: found });
  else stream.send("answer", found);
  stream.end();
  return undefined;
}
