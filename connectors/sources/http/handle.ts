import type { IncomingMessage, ServerResponse } from "node:http";
import type { SluiceEvent } from "sluice";
import type { Answers, Place } from "./answers.ts";
import type { Desk } from "./desk.ts";
import { guard, type Guard } from "./guard.ts";
import { eventsIn, pathOf, type Intake, type Path } from "./intake.ts";
import { invalid, Refusal, unavailable } from "./refusal.ts";
import { send, toProblem, type Reply } from "./reply.ts";
import { openStream } from "./stream.ts";
import { wishOf, type Wish } from "./wish.ts";

export interface Serving extends Intake {
  readonly desk: Desk;
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
  const { context, answers } = serving;
  if (context.signal.aborted) throw unavailable("the source is stopping.");
  admitted(request.headers);
  const path = pathOf(request);
  const wish = wishOf(request.headers, context.config.maxWaitSeconds);
  if (wish && !answers)
    throw invalid(
      "this source does not know where answers are published.",
      'Set "answers": "<topic>" in its config, or ask without Prefer: wait and Accept: text/event-stream.',
    );
  const { ids, place } = await publish(serving, path, wish, request, response, gone);
  const taken = path === "/" ? { ids } : { id: ids[0] };
  try {
    if (wish && place) return await answered(wish, place, taken, response, gone);
    return { status: 202, type: "application/json", body: taken };
  } finally {
    place?.free();
  }
}

/** Resolves when the events are durable, and lets go of them: who waits for an answer holds an id and a place. */
async function publish(
  serving: Serving,
  path: Path,
  wish: Wish | undefined,
  request: IncomingMessage,
  response: ServerResponse,
  gone: AbortSignal,
): Promise<{ readonly ids: readonly string[]; readonly place: Place | undefined }> {
  const { events, bytes, release } = await eventsIn(serving, path, request, response);
  let place: Place | undefined;
  try {
    if (wish) place = await serving.answers?.expect(correlationOf(events));
    await serving.desk.put(events, bytes, { signal: gone });
    return { ids: events.map(({ id }) => id), place };
  } catch (error) {
    place?.free();
    throw error;
  } finally {
    release();
  }
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
    if ("answer" in found)
      return { status: 200, type: "application/cloudevents+json", body: found.answer, headers };
    if (found.reason !== "given-up")
      return { status: 202, type: "application/json", body: taken, headers };
    const { detail = "", fix } = found;
    const { body, ...problem } = toProblem(
      new Refusal(422, detail, { headers, ...(fix !== undefined && { fix }) }),
    );
    return { ...problem, body: { ...body, ...taken } };
  }
  const stream = openStream(response);
  stream.send("accepted", taken);
  const found = await place.wait(waitMs, { signal: gone });
  if ("answer" in found) stream.send("answer", found.answer);
  else stream.send("unanswered", { ...taken, ...found });
  stream.end();
  return undefined;
}
