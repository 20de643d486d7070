import { setTimeout as sleep } from "node:timers/promises";
import type { Backend } from "../../core/backend.ts";
import { SluiceError } from "../../core/errors.ts";
import type { AnswerGiven, QuestionAsked, SluiceEvent } from "../../core/event.ts";
import { givenUp } from "../../core/runtime/given-up.ts";
import { askProcesses } from "../../core/runtime/read-status.ts";
import type { ConnectorStatus } from "../../core/runtime/status.ts";
import type { SubscriptionStatus } from "../../core/queue/queue.ts";
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
    const found = Promise.any(listening.map((events) => answerAmong(events, question.id)));
    const given = found.catch(() => undefined); // the taps end with the signal
    const refused = refusalOf(backend, path, question.id, signal);
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
  signal: AbortSignal,
): Promise<undefined> {
  const names = connectors.map(({ name }) => name);
  while (!signal.aborted) {
    await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined); // aborted: the loop ends
    const [found] = await givenUp([id], names, deadLetters);
    if (found)
      throw new SluiceError(
        `ask: ${found.connector} gave the question up: ${found.error.message}`,
        {
          code: "cli.no-answer",
          fix: `${found.error.fix ?? "See why."} It is kept: sluice dead-letters list ${found.connector}`,
        },
      );
  }
  return undefined;
}

async function noAnswer(
  backend: Backend,
  { connectors }: QuestionPath,
  timeoutMs: number,
): Promise<SluiceError> {
  const isOnWay = ({ name }: { readonly name: string }) =>
    connectors.some((one) => one.name === name);
  const { processes } = await askProcesses(backend.state);
  const running = processes.flatMap((one) => one.connectors).filter(isOnWay);
  const own = (await backend.topics.subscriptions()).filter(isOnWay);
  const { why, fix } = [...reasons(running, own)][0] ?? {
    why: "nothing waits, and nothing came",
    fix: "Look what is the matter: sluice status, sluice dead-letters list NAME.",
  };
  return new SluiceError(`ask: no answer in ${timeoutMs / 1_000} s: ${why}.`, {
    code: "cli.no-answer",
    fix,
  });
}

/** What may be the matter, the most telling first. */
function* reasons(
  running: readonly ConnectorStatus[],
  subscriptions: readonly SubscriptionStatus[],
): Iterable<{ readonly why: string; readonly fix: string }> {
  // One process that works on it is enough.
  const isWell = (name: string) =>
    running.some((one) => one.name === name && one.state === "running");
  for (const { name, state, error } of running) {
    if (isWell(name)) continue;
    if (error)
      yield {
        why: `${name} ${state === "failed" ? "failed" : "is failing"}: ${error.message.replace(/\.$/, "")}`,
        fix: error.fix ?? "See sluice status.",
      };
    else if (state === "paused" || state === "stopped")
      yield { why: `${name} is ${state}`, fix: `Let it go on: sluice resume ${name}` };
  }
  const names = (some: readonly SubscriptionStatus[]) =>
    [...new Set(some.map(({ name }) => name))].join(", ");
  const idle = subscriptions.filter(({ consumers }) => consumers === 0);
  if (idle.length > 0)
    yield { why: `no process runs ${names(idle)}`, fix: "Start it: sluice start FILE…" };
  const busy = subscriptions.filter(({ waiting }) => waiting > 0);
  if (busy.length > 0)
    yield {
      why: `${names(busy)} still work on what was asked`,
      fix: "Look what is the matter: sluice status; or wait longer: --timeout 300.",
    };
}
