import { setTimeout as sleep } from "node:timers/promises";
import type { Backend } from "../../core/backend.ts";
import { SluiceError } from "../../core/errors.ts";
import type { AnswerGiven, QuestionAsked, SluiceEvent } from "../../core/event.ts";
import type { QuestionPath } from "./path.ts";

const lookEveryMs = 500;

/**
 * Asks, and waits for the answer: it listens before it asks, and subscribes to nothing. Throws `SluiceError` when the
 * question became a dead letter, or `timeoutMs` have passed.
 */
export async function awaitAnswer(
  backend: Backend,
  path: QuestionPath,
  question: QuestionAsked,
  { timeoutMs }: { readonly timeoutMs: number },
): Promise<AnswerGiven> {
  const { topics } = backend;
  if ((await topics.subscribers(path.topic)).length === 0)
    throw new SluiceError(`ask: nobody reads the topic ${JSON.stringify(path.topic)} yet.`, {
      code: "cli.no-answer",
      fix: "Start the pipeline: sluice start FILE…",
    });
  const over = new AbortController();
  const patience = AbortSignal.timeout(timeoutMs);
  const signal = AbortSignal.any([over.signal, patience]);
  try {
    const listening = await Promise.all(path.answers.map((topic) => topics.tap(topic, { signal })));
    const before = await lettersOf(backend, path);
    const found = Promise.any(listening.map((events) => answerAmong(events, question.id)));
    const given = found.catch(() => undefined); // the taps end with the signal
    const refused = refusalOf(backend, path, question.id, { before, signal });
    await topics.publish(path.topic, [question], { signal });
    const answer = await Promise.race([given, refused]);
    if (answer) return answer;
    throw await noAnswer(backend, path, timeoutMs);
  } catch (error) {
    if (!patience.aborted || error instanceof SluiceError) throw error;
    throw await noAnswer(backend, path, timeoutMs);
  } finally {
    over.abort();
  }
}

async function answerAmong(events: AsyncIterable<SluiceEvent>, id: string): Promise<AnswerGiven> {
  for await (const event of events)
    if (event.type === "dev.sluice.answer.given" && event["correlationid"] === id)
      return event as AnswerGiven; // of that type
  throw new Error("the topic ended");
}

/** Rejects when the question, or what became of it, is a dead letter. Resolves on abort. */
async function refusalOf(
  { deadLetters }: Backend,
  { connectors }: QuestionPath,
  id: string,
  {
    before,
    signal,
  }: { readonly before: ReadonlyMap<string, number>; readonly signal: AbortSignal },
): Promise<undefined> {
  const seen = new Map(before);
  while (!signal.aborted) {
    await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined); // aborted: the loop ends
    for (const { name } of connectors) {
      const count = await deadLetters.count(name);
      if (count === seen.get(name)) continue;
      seen.set(name, count);
      for await (const page of deadLetters.list(name))
        for (const { event, error } of page)
          if (event.id === id || event["correlationid"] === id)
            throw new SluiceError(`ask: ${name} gave the question up: ${error.message}`, {
              code: "cli.no-answer",
              fix: `${error.fix ?? "See why."} It is kept: sluice dead-letters list ${name}`,
            });
    }
  }
  return undefined;
}

async function lettersOf(
  { deadLetters }: Backend,
  { connectors }: QuestionPath,
): Promise<ReadonlyMap<string, number>> {
  return new Map(
    await Promise.all(
      connectors.map(async ({ name }) => [name, await deadLetters.count(name)] as const),
    ),
  );
}

async function noAnswer(
  { topics }: Backend,
  { connectors }: QuestionPath,
  timeoutMs: number,
): Promise<SluiceError> {
  const all = await topics.subscriptions();
  const own = all.filter(({ name }) => connectors.some((one) => one.name === name));
  const idle = own.filter(({ consumers }) => consumers === 0).map(({ name }) => name);
  const busy = own.filter(({ waiting }) => waiting > 0).map(({ name }) => name);
  const why =
    idle.length > 0
      ? `no process runs ${idle.join(", ")}`
      : busy.length > 0
        ? `${busy.join(", ")} still work on what was asked`
        : "nothing waits, and nothing came";
  return new SluiceError(`ask: no answer in ${timeoutMs / 1_000} s: ${why}.`, {
    code: "cli.no-answer",
    fix:
      idle.length > 0
        ? "Start it: sluice start FILE…"
        : "Look what is the matter: sluice status, sluice dead-letters list NAME; or wait longer: --timeout 300.",
  });
}
