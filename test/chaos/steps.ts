import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { hash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { docKeyOf } from "../../connectors/_shared/vector-sync/doc-key.ts";
import {
  startLocalPinecone,
  type LocalPinecone,
} from "../../connectors/sinks/pinecone/local/server.ts";
import type { DocumentUpserted, SluiceEvent } from "../../core/event.ts";
import type { Manifest } from "../../core/vectors.ts";
import { at, document, removal, source } from "../vector-sync/documents.ts";
import { openStepsBackend, sinkName, topic, type StepsPlace } from "./steps-backend.ts";
import type { StepsOrder } from "./steps-child.ts";

// T9 of docs/facts/vector-sync.md: insert, edit, shrink and delete over 20 documents; the process is
// killed (kill -9) just before and just after every numbered step: each request, each write to state,
// each acknowledgement.

const child = fileURLToPath(new URL("./steps-child.js", import.meta.url));
const partitions = 2;
const subjects = Array.from({ length: 20 }, (_, n) => `d${n}`);

/** A document of one chunk a text. */
function chunked(subject: string, texts: readonly string[], version: number): DocumentUpserted {
  const event = document(subject, texts.join("\n\n"), at(version));
  const chunks = texts.map((text) => ({
    id: `${hash("sha256", text, "hex").slice(0, 16)}~0`,
    text,
    start: 0,
    end: text.length,
  }));
  return { ...event, data: { ...event.data, chunks } };
}

const texts = (subject: string, ...which: readonly (number | string)[]) =>
  which.map((one) => `${subject} paragraph ${one}`);
const inserted = subjects.map((subject) => chunked(subject, texts(subject, 1, 2, 3), 1));
const edited = subjects.map((subject) => chunked(subject, texts(subject, 1, "edited", 3), 2));
const shrunk = subjects.map((subject) => chunked(subject, texts(subject, 3), 3));
const deletes = subjects.slice(0, 10).map((subject) => removal(subject, at(4)));
const batches: readonly (readonly SluiceEvent[])[] = [inserted, edited, shrunk, deletes];
const live = shrunk.slice(10);

/** What a run must end with: id → text. */
const expected = new Map<string, string>(
  live.flatMap(({ subject, data }) =>
    (data.chunks ?? []).map(
      ({ id, text }) => [`${docKeyOf(source, subject)}#${id}`, text] as const,
    ),
  ),
);

export interface StepsResult {
  readonly steps: number;
  readonly kills: number;
  readonly failures: readonly {
    readonly step: number;
    readonly moment: string;
    readonly why: string;
  }[];
}

/** Plays a run for every step and moment that `chosen` wants; `told` hears how far it is. */
export async function playSteps(options: {
  readonly redis?: string;
  readonly chosen?: (step: number) => boolean;
  readonly told?: (text: string) => void;
}): Promise<StepsResult> {
  const { redis, chosen = () => true, told = () => {} } = options;
  const whole = await playOne({ ...(redis && { redis }) });
  assert.equal(whole.why, undefined, "a run without a kill");
  told(`${whole.steps} steps`);
  const failures: { step: number; moment: string; why: string }[] = [];
  let kills = 0;
  for (let step = 1; step <= whole.steps; step++) {
    if (!chosen(step)) continue;
    await Promise.all(
      (["before", "after"] as const).map(async (moment) => {
        const run = await playOne({ ...(redis && { redis }), fatal: { step, moment } });
        if (run.isKilled) kills += 1;
        if (run.why !== undefined) failures.push({ step, moment, why: run.why });
        told(`step ${step} ${moment}: ${run.why ?? "exact"}`);
      }),
    );
  }
  return { steps: whole.steps, kills, failures };
}

/** One run in a place of its own: killed where it is told, started again, then compared. */
async function playOne(options: {
  readonly redis?: string;
  readonly fatal?: StepsOrder["fatal"];
}): Promise<{
  readonly steps: number;
  readonly isKilled: boolean;
  readonly why: string | undefined;
}> {
  const { redis, fatal } = options;
  const dir = await mkdtemp(join(tmpdir(), "sluice-steps-"));
  const project = `steps-${dir.slice(-6)}`;
  const place: StepsPlace = { project, dir, ...(redis !== undefined && { redis }) };
  const writes: Applied[] = [];
  const server = await startLocalPinecone({
    host: "127.0.0.1",
    port: 0,
    dir: join(dir, "pinecone"),
    onWrite: ({ path, body }) => void writes.push(appliedOf(path, body)),
  });
  const backend = await openStepsBackend(place, partitions);
  const { signal } = new AbortController();
  try {
    await backend.topics.subscribe({ topic, name: sinkName });
    for (const batch of batches) await backend.topics.publish(topic, batch, { signal });
    const order: StepsOrder = { place, url: server.url, index: "kb", partitions };
    const first = await run({ ...order, ...(fatal && { fatal }) });
    const last = first.isKilled ? await run(order) : first;
    const found: Manifest[] = [];
    for await (const page of backend.state.scope(sinkName).state.scan("own/m/"))
      for (const { value } of page) found.push(value as unknown as Manifest); // vector sync's own keys
    return {
      steps: last.steps,
      isKilled: first.isKilled,
      why: last.why ?? (await difference(server, found)) ?? emptiness(writes),
    };
  } finally {
    await backend.close(1_000);
    await server.close();
    await rm(dir, { recursive: true, force: true });
  }
}

async function run(
  order: StepsOrder,
): Promise<{ readonly steps: number; readonly isKilled: boolean; readonly why?: string }> {
  const process_ = spawn(process.execPath, [child, JSON.stringify(order)], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  process_.stdout.on("data", (data: Buffer) => (stdout += data.toString()));
  process_.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
  const timer = setTimeout(() => process_.kill("SIGTERM"), 60_000);
  const [code, signal] = (await once(process_, "close")) as [number | null, string | null];
  clearTimeout(timer);
  if (signal === "SIGKILL") return { steps: 0, isKilled: true };
  if (code !== 0)
    return { steps: 0, isKilled: false, why: `ended with ${code ?? signal}: ${stderr}` };
  return { steps: (JSON.parse(stdout) as { steps: number }).steps, isKilled: false };
}

/** What differs at the end: Invariant 5. */
async function difference(
  { url }: LocalPinecone,
  manifests: readonly Manifest[],
): Promise<string | undefined> {
  const ask = async (path: string) =>
    (await (await fetch(`${url}/i/kb${path}`, { headers: { "api-key": "any" } })).json()) as object;
  const { vectors = [] } = (await ask("/vectors/list")) as { vectors?: readonly { id: string }[] };
  const ids = vectors.map(({ id }) => id);
  for (const id of ids) if (!expected.has(id)) return `orphan ${id}`;
  for (const id of expected.keys()) if (!ids.includes(id)) return `missing ${id}`;
  for (const id of ids) {
    const { vectors: found } = (await ask(
      `/vectors/fetch?ids=${encodeURIComponent(id)}`,
    )) as Fetched;
    if (found[id]?.metadata["text"] !== expected.get(id)) return `other text ${id}`;
  }
  const open = manifests.find(({ state }) => state === "pending");
  return open && `pending ${open.subject}`;
}

interface Fetched {
  readonly vectors: Readonly<
    Record<string, { readonly metadata: Readonly<Record<string, unknown>> }>
  >;
}

interface Applied {
  readonly upserted: readonly string[];
  readonly deleted: readonly string[];
}

function appliedOf(path: string, body: string): Applied {
  if (!/\/vectors\/(upsert|delete)$/.test(path)) return { upserted: [], deleted: [] };
  const { vectors = [], ids = [] } = JSON.parse(body) as {
    vectors?: { id: string }[];
    ids?: string[];
  };
  return { upserted: vectors.map(({ id }) => id), deleted: ids };
}

/** Invariant 6, at every write: a document of which something was there has something until it is deleted. */
function emptiness(writes: readonly Applied[]): string | undefined {
  const survivors = live.map(({ subject }) => `${docKeyOf(source, subject)}#`);
  const present = new Set<string>();
  const begun = new Set<string>();
  for (const { upserted, deleted } of writes) {
    for (const id of upserted) present.add(id);
    for (const id of deleted) present.delete(id);
    for (const prefix of survivors) {
      const isThere = [...present].some((id) => id.startsWith(prefix));
      if (isThere) begun.add(prefix);
      else if (begun.has(prefix)) return `${prefix} was empty for a moment`;
    }
  }
  return undefined;
}
