import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { freePort, until } from "../connectors/sources/http/harness.ts";
import { http } from "../connectors/sources/http/http.ts";
import type { Pipeline, Place, ResolvedConnector } from "../core/config/pipeline.ts";
import { defineTransform } from "../core/connector.ts";
import { PoisonError } from "../core/errors.ts";
import type { QuestionAsked } from "../core/event.ts";
import { startPipeline, type Running } from "../core/runtime/runner.ts";

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

export const cleanups: (() => Promise<unknown>)[] = [];
/** Ends what was started, the last first. */
export async function cleanUp(): Promise<void> {
  for (const clean of cleanups.splice(0).toReversed()) await clean();
}

const givenUpOnce = new Set<string>();

/** Answers questions at once, but for those that begin with "never"; gives up what is "bad", and "once" the first time. */
const answerer = defineTransform({
  name: "answerer",
  version: "1.0.0",
  summary: "Answers.",
  config: z.strictObject({}),
  accepts: ["dev.sluice.question."],
  emits: ["dev.sluice.answer."],
  open: async () => ({
    apply: async (events) =>
      events.map((event) => {
        const { id, correlationid, data } = event as QuestionAsked;
        if (data.text.startsWith("never")) return null;
        const isFirst = data.text.startsWith("once") && !givenUpOnce.has(id);
        if (isFirst) givenUpOnce.add(id);
        if (isFirst || data.text.startsWith("bad"))
          throw new PoisonError("answerer: it cannot.", {
            code: "answerer.cannot",
            fix: "Ask less.",
          });
        const answer = { question: id, asked: data.text, text: `because ${data.text}` };
        return {
          ...event,
          id: `${id}-answer`,
          type: "dev.sluice.answer.given",
          correlationid,
          data: answer,
        };
      }),
  }),
});

export const consumer = { transforms: [], retry: { attempts: 5, maxDelayMs: 50 } };
export const sourceOf = (config: object): ResolvedConnector => ({
  name: "door",
  kind: "source",
  to: "in",
  source: http,
  config: http.config.parse(config),
});
export const answering: ResolvedConnector = {
  ...consumer,
  name: "answerer",
  kind: "transform",
  from: ["in"],
  to: "answers",
  transforms: [{ use: "answerer", transform: answerer, config: {}, configHash: "00000000" }],
};

export async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "sluice-http-"));
  cleanups.push(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

export async function started(
  at: string | Place,
  connectors: readonly ResolvedConnector[],
): Promise<Running> {
  const place: Place = typeof at === "string" ? { kind: "embedded", dir: at } : at;
  const topic = { partitions: 4, optional: false, maxWaiting: 1_000 };
  const pipeline: Pipeline = {
    project: "http",
    queue: place,
    state: place,
    topics: { in: topic, answers: { ...topic, optional: true } },
    connectors,
  };
  const running = await startPipeline(pipeline, {
    log: silent,
    admin: { host: "127.0.0.1", port: 0 },
  });
  cleanups.push(() => running.stop(2_000));
  return running;
}

/** A pipeline that answers questions; resolves when it listens. */
export async function desk(
  config: object = {},
  place?: Place,
): Promise<{ readonly url: string; readonly running: Running }> {
  const port = await freePort();
  const running = await started(place ?? (await folder()), [
    answering,
    sourceOf({ port, answers: "answers", ...config }),
  ]);
  const url = `http://127.0.0.1:${port}`;
  await until(() => isUp(url), "the source to listen");
  return { url, running };
}

export async function isUp(url: string): Promise<boolean> {
  return await fetch(url).then(
    () => true,
    () => false,
  );
}
