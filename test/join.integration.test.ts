import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, it } from "vitest";
import { freePort } from "../connectors/sources/http/harness.ts";
import { catalog } from "../connectors/registry.ts";
import { openBackend, type Backend } from "../core/backend.ts";
import { loadPipeline } from "../core/config/load.ts";
import { gather } from "./join/crowd.ts";
import { indexNow } from "./join/index-now.ts";
import {
  feedback,
  genai,
  hashesOf,
  processesNow,
  startService,
  type ServiceProcess,
} from "./join/services.ts";
import { startRedis } from "./redis-server.ts";

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).toReversed()) await clean();
});

it.each(["embedded", "redis"] as const)(
  "a service joins, works, is killed and comes back, and nobody else notices (%s)",
  async (kind) => {
    const { env, documents, answersFile, indexDir, watch } = await prepare(kind);
    const own = [...genai, watch];
    const all = [...own, feedback];
    const hashes = await hashesOf(all);
    const others = own.map((file) => begin(file, env));
    const pipeline = await loadPipeline(all, { env, catalog });
    const backend = await openBackend(pipeline, { log: silent });
    cleanups.push(() => backend.close(1_000));
    const readers = pipeline.connectors.flatMap((one) => (one.kind === "source" ? [] : [one.name]));
    await reading(
      backend,
      readers.filter((name) => name !== "corrections"),
    );

    const crowd = gather(backend, { documents, answersFile });
    cleanups.push(() => crowd.stop());
    await until(
      async () => (await crowd.answers()).some(({ data }) => data.isAnswered),
      "the first answer",
    );
    const before = await standing(own, env);

    // It joins, and works.
    const first = begin(feedback, env);
    await reading(backend, readers);
    await crowd.correct("alder");
    await until(async () => {
      const { data } = await crowd.answerTo(await crowd.ask("alder"));
      return data.text.includes(crowd.corrected.get("alder") ?? "?");
    }, "an answer that knows the correction");

    // It is killed while feedback comes in, which goes on meanwhile; and comes back.
    await Promise.all(["birch", "cedar", "elder"].map(crowd.correct));
    await first.end("SIGKILL");
    for (const garden of ["fir", "gorse", "hazel"]) await crowd.correct(garden);
    begin(feedback, env);
    for (const garden of ["ivy", "birch", "juniper"]) await crowd.correct(garden);
    await crowd.stop();
    await settled(backend);

    // Nobody else was touched.
    expect(others.map((one) => [one.hasEnded(), one.hasEnded() ? one.told() : ""])).toEqual(
      others.map(() => [false, ""]),
    );
    expect(await standing(own, env)).toEqual(before);
    expect(await hashesOf(all)).toEqual(hashes);

    // Nothing was lost: every question has one answer, every file and every correction is what the index holds.
    const answers = new Map<string, Set<string>>();
    for (const { id, data } of await crowd.answers())
      answers.set(data.question, (answers.get(data.question) ?? new Set()).add(id));
    expect([...answers.keys()].toSorted()).toEqual([...crowd.asked.keys()].toSorted());
    expect([...answers.values()].filter(({ size }) => size !== 1)).toEqual([]);
    const held = await indexNow(indexDir, "genai");
    const wanted = [...[...crowd.written.values()].map(bodyOf), ...crowd.corrected.values()];
    expect(held.map(({ metadata }) => String(metadata["text"])).toSorted()).toEqual(
      wanted.toSorted(),
    );
    for (const { name } of pipeline.connectors)
      expect([name, await backend.deadLetters.count(name)]).toEqual([name, 0]);

    // Repeats change nothing: the same feedback again, from the first on.
    await crowd.publish(crowd.given);
    await settled(backend);
    expect(await indexNow(indexDir, "genai")).toEqual(held);
    for (const [garden, correction] of crowd.corrected) {
      const { data } = await crowd.answerTo(await crowd.ask(garden));
      expect(data.text).toContain(correction);
      expect(data.citations).toMatchObject([{ source: "/feedback/corrections" }]);
    }
  },
  300_000,
);

async function prepare(kind: "embedded" | "redis") {
  const dir = await mkdtemp(join(tmpdir(), "sluice-join-"));
  cleanups.push(() => rm(dir, { recursive: true, force: true }));
  const documents = join(dir, "documents");
  const questions = join(dir, "questions");
  for (const folder of [documents, questions]) await mkdir(folder);
  let queue = `embedded:${join(dir, "queue")}`;
  if (kind === "redis") {
    const redis = await startRedis(["--maxmemory-policy", "noeviction"]);
    cleanups.push(redis.stop);
    queue = redis.url;
  }
  const indexDir = join(dir, "index");
  const env = {
    SLUICE_QUEUE: queue,
    GENAI_DOCUMENTS: documents,
    GENAI_QUESTIONS: questions,
    GENAI_INDEX: indexDir,
    GENAI_PORT: String(await freePort()),
    FEEDBACK_PORT: String(await freePort()),
  };
  // Somebody else who wants the answers, every one of them.
  const answersFile = join(dir, "answers.ndjson");
  const watch = join(dir, "watch.json");
  const sink = { name: "watch", sink: "log", from: "answers", config: { path: answersFile } };
  await writeFile(
    watch,
    JSON.stringify({ project: "genai", queue: "${SLUICE_QUEUE}", connectors: [sink] }),
  );
  return { env, documents, answersFile, indexDir, watch };
}

/** Pid and start of the process of each file; one that is too busy to answer is asked again. */
async function standing(
  files: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  await until(async () => {
    for (const [name, process] of await processesNow(files, env))
      if (!name.includes("corrections")) found.set(name, process);
    return found.size >= files.length;
  }, "every process in the status");
  return found;
}

function begin(file: string, env: Readonly<Record<string, string>>): ServiceProcess {
  const service = startService(file, env);
  cleanups.push(() => service.end("SIGTERM"));
  return service;
}

/** Of a document, what its one chunk holds: the heading is its context. */
function bodyOf(text: string): string {
  return text.split("\n\n")[1]?.trim() ?? "";
}

/** Until somebody takes what comes to each of these connectors. */
async function reading({ topics }: Backend, connectors: readonly string[]): Promise<void> {
  await until(
    async () => {
      const all = await topics.subscriptions();
      return connectors.every((name) => {
        const own = all.filter((one) => one.name === name);
        return own.length > 0 && own.every(({ consumers }) => consumers > 0);
      });
    },
    `${connectors.join(", ")} to read`,
  );
}

/** Until nothing waits in any topic, and goes on not to. */
async function settled({ topics }: Backend): Promise<void> {
  let quiet = 0;
  await until(async () => {
    const waiting = (await topics.subscriptions()).some((one) => one.waiting > 0);
    quiet = waiting ? 0 : quiet + 1;
    return quiet >= 20;
  }, "nothing to wait anywhere");
}

async function until(isSo: () => Promise<boolean>, what: string): Promise<void> {
  await eventually(async () => ((await isSo()) ? true : undefined), what);
}

async function eventually<T>(find: () => Promise<T | undefined>, what: string): Promise<T> {
  const deadline = performance.now() + 120_000;
  for (;;) {
    const found = await find();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await sleep(50);
  }
}
