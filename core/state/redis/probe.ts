import { setTimeout as sleep } from "node:timers/promises";
import { RetryableError } from "../../errors.ts";
import { primariesOf, type RedisClient } from "./client.ts";

const answerWithinMs = 3_000;
const keptMs = 60_000;

/**
 * Asks whether Redis can be used: each server answers, and what is written is taken. Rejects with why it cannot, after
 * 3 s without an answer with `RetryableError` `redis.unreachable`. One question at a time is on its way, however
 * long Redis is away.
 */
export function openProbe(options: {
  readonly client: RedisClient;
  readonly project: string;
  readonly place: string;
}): () => Promise<void> {
  const { client, project, place } = options;
  const key = `sluice:{${encodeURIComponent(project)}}:probe`;
  let reason: string | undefined;
  client.on("error", (error) => (reason = error.message));
  client.on("ready", () => (reason = undefined));

  const ask = () =>
    Promise.all([
      ...primariesOf(client).map((server) => server.ping()),
      client.set(key, "", "PX", keptMs),
    ]);
  let asked: Promise<unknown> | undefined;
  return async () => {
    asked ??= ask().finally(() => (asked = undefined));
    await answered(asked, place, () => reason);
  };
}

/** What Redis answers; `RetryableError` `redis.unreachable` after 3 s without an answer. */
export async function answered<T>(
  answer: Promise<T>,
  place: string,
  why: () => string | undefined = () => undefined,
): Promise<T> {
  const patience = new AbortController();
  const late = sleep(answerWithinMs, undefined, { signal: patience.signal, ref: false }).then(
    () => {
      throw silent(place, why());
    },
  );
  answer.catch(() => {}); // when it is late
  try {
    return await Promise.race([answer, late]);
  } finally {
    late.catch(() => {}); // it came in time
    patience.abort();
  }
}

function silent(place: string, reason: string | undefined): RetryableError {
  return new RetryableError(`redis: ${place} does not answer${reason ? ` (${reason})` : ""}.`, {
    code: "redis.unreachable",
    reason: "unreachable",
    fix: "Start Redis there again, or see what holds it up; everything goes on by itself then.",
  });
}
