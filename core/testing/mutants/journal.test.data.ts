import { randomInt, randomUUID } from "node:crypto";
import { spawn } from "node:child_process";
import { existsSync, openSync } from "node:fs";
import { createServer } from "node:net";
import { appendFile, open, readFile, stat, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { defineSource, type SnapshotRequest, type SourceBatch } from "../../connector.ts";
import { ConfigError } from "../../errors.ts";
import { cleared, deleted, upserted, type RecordChange } from "../../event.ts";
import { version } from "../../version.ts";

/** One thing each that the source does wrong. */
const faults = [
  "begins with what is yet to come",
  "looks only once",
  "takes the newest page for all there is",
  "has its checkpoint run ahead of its batch",
  "lets nothing come back",
  "gives lower versions in later runs",
  "passes over what came and went while it was down",
  "starts over",
  "skips what came while it was down",
  "keeps its position elsewhere",
  "keeps its position before it publishes",
  "forgets deletes",
  "misses deletes while it is down",
  "gives every change one version",
  "names events at random",
  "names events by process",
  "numbers versions by process",
  "numbers versions from one in each process",
  "ends versions at random",
  "tells when it read",
  "partitions by version",
  "knows Latin letters only",
  "spins while nothing happens",
  "mixes up the order",
  "yields without bound",
  "reads ahead without bound",
  "drops what nobody asks for",
  "outlives its abort",
  "sleeps through its abort",
  "gives what it reads at once one version",
  "takes an outage for silence",
  "takes an outage for deletes",
  "gives up in an outage",
  "sleeps through its abort in an outage",
  "jumps ahead behind a snapshot",
  "waits for its origin through an abort",
  "takes the ends of lines for blanks",
  "takes what is empty for gone",
  "names records in small letters",
  "cuts the names of records",
  "leaves a listener on the process",
  "leaves a timer",
  "leaves a server",
  "leaves a file open",
  "leaves a file to be collected",
  "says something late",
  "leaves a child",
  "adds a listener a round",
  "leaves a quiet timer",
  "tells its token",
  "prints its token",
  "tells its token in Base64",
  "tells a token that is taken",
  "tells its token in an outage",
  "keeps its token",
  "never completes",
  "completes too early",
  "forgets the audience",
  "sweeps what it just read",
  "takes no request again after a crash",
  "only sweeps when it has resumed",
  "has a request run ahead of its batch",
  "sweeps too low",
  "reads once for all who asked",
  "never returns from its abort",
] as const;

const line = z.object({ key: z.string(), text: z.string().nullable() });
const maxBytes = 2 ** 20;
const code = "journal.refused";
let readsOfProcess = 0;

/** A file of changes, one JSON line each; a checkpoint is where the next line begins. */
export const journal = defineSource({
  name: "journal",
  version: "1.0.0",
  summary: "Lines of a file.",
  config: z.strictObject({
    path: z.string().min(1).describe("The file."),
    everyMs: z.number().int().positive().describe("Milliseconds between looks."),
    token: z.string().min(1).optional().meta({ secret: true }).describe("For nothing."),
    broken: z.enum(faults).optional().describe("What it does wrong."),
  }),
  checkpoint: z.strictObject({ offset: z.number() }),
  emits: ["dev.sluice.record.", "dev.sluice.collection.cleared"],
  capabilities: { deletes: true, snapshotOnRequest: true, replays: true, forgets: false },
  async *read({ config, checkpoint, requests, signal, state, log }) {
    const { path, everyMs, token, broken } = config;
    const is = (fault: (typeof faults)[number]) => broken === fault;
    if (is("tells its token")) log.info({ config }, "started");
    if (is("leaves a listener on the process")) process.on("SIGUSR2", () => {});
    if (is("leaves a quiet timer")) setInterval(() => {}, 1_000).unref();
    if (is("leaves a server")) createServer().listen(0, "127.0.0.1").unref();
    if (is("leaves a file open")) openSync(path, "r");
    if (is("leaves a file to be collected")) await open(path);
    if (is("says something late")) setTimeout(() => log.info({}, "late"), 2_000);
    if (is("leaves a child"))
      spawn(process.execPath, ["-e", "setTimeout(() => {}, 5_000)"], { stdio: "ignore" }).unref();
    if (is("prints its token")) process.stderr.write(`with ${token}\n`);
    if (is("tells its token in Base64"))
      log.info(
        { authorization: `Basic ${Buffer.from(`me:${token}`).toString("base64")}` },
        "asked",
      );
    if (is("tells a token that is taken") && token === rightToken) log.info({ config }, "taken");
    if (is("keeps its token")) await state.each([{ key: `of/${token}`, value: true }]);
    if (is("leaves a timer")) setInterval(() => {}, 1_000);
    const aside = `${path}.position`;
    let offset = checkpoint?.offset ?? 0;
    if (is("starts over")) offset = 0;
    if (is("begins with what is yet to come") && !checkpoint)
      offset = (await readFile(path)).length;
    if (is("takes the newest page for all there is") && !checkpoint)
      offset = (await linesFrom(path, 0, Infinity)).lines.at(-100)?.at ?? 0;
    const before = await linesFrom(path, 0, offset);
    const known = new Set(before.lines.map(({ key }) => key));
    const gone = new Set<string>();
    readsOfProcess += 1;
    const tails: Readonly<Record<string, number>> = {
      "numbers versions by process": process.pid,
      "numbers versions from one in each process": readsOfProcess,
      "ends versions at random": randomInt(2 ** 32),
    };
    const tail = tails[String(broken)] ?? 0;
    const [ran] = await state.get(["ran"]);
    if (is("gives lower versions in later runs")) await state.each([{ key: "ran", value: true }]);
    if (is("skips what came while it was down") && checkpoint)
      offset = (await readFile(path)).length;
    if (is("keeps its position elsewhere") && checkpoint) offset = Number(await readFile(aside));
    const [kept] = await state.get(["position"]);
    if (is("keeps its position before it publishes")) offset = Number(kept?.value ?? 0);
    const resumedAt = checkpoint ? (await readFile(path)).length : 0;

    const asked: SnapshotRequest[] = [];
    const listening = (async () => {
      for await (const request of requests) {
        if (is("takes no request again after a crash") && checkpoint && request.audience) {
          const [before] = await state.get([request.id]);
          if (before) continue;
          await state.each([{ key: request.id, value: true }]);
        }
        asked.push(request);
      }
    })();

    const eventOf = ({ key, text }: z.output<typeof line>, at: number): RecordChange[] => {
      const position = is("gives every change one version") ? 7n : BigInt(at);
      const epoch = is("gives lower versions in later runs") && ran ? 0 : 1;
      const change = {
        ...about(named(key, broken), version({ epoch, position, rank: 1, tail })),
        ...(is("tells when it read") && { time: new Date().toISOString() }),
        ...(is("partitions by version") && { partitionkey: `${key}@${at}` }),
      };
      let read = is("knows Latin letters only") ? latinOf(text) : text;
      if (is("takes the ends of lines for blanks")) read = read?.replaceAll(/\s+/g, " ") ?? null;
      if (is("takes what is empty for gone")) read ||= null;
      if (read !== null) return [upserted({ ...change, op: "update", after: { text: read } })];
      if (is("forgets deletes")) return [];
      if (is("misses deletes while it is down") && at < resumedAt) return [];
      return [deleted(change)];
    };
    const next = async (): Promise<SourceBatch<{ offset: number }>> => {
      const most = is("yields without bound") ? Infinity : maxBytes;
      const read = await linesFrom(path, offset, most);
      const one = is("gives what it reads at once one version") ? read.lines[0]?.at : undefined;
      let events = read.lines.flatMap(({ at, ...line }) => eventOf(line, one ?? at));
      if (is("lets nothing come back"))
        events = events.filter(({ type, subject }) => {
          if (type === "dev.sluice.record.deleted") gone.add(subject);
          return type === "dev.sluice.record.deleted" || !gone.has(subject);
        });
      if (is("passes over what came and went while it was down") && !isUnderWay) {
        const last = new Map(events.map((event) => [event.subject, event]));
        events = [...last.values()].filter(
          ({ type, subject }) => type !== "dev.sluice.record.deleted" || known.has(subject),
        );
      }
      if (is("mixes up the order")) events = events.toReversed();
      if (is("names events at random"))
        events = events.map((one) => ({ ...one, id: randomUUID() }));
      if (is("names events by process"))
        events = events.map((one) => ({ ...one, id: `${one.id}-${process.pid}` }));
      offset = read.end;
      if (is("keeps its position elsewhere")) await writeFile(aside, String(offset));
      if (is("keeps its position before it publishes"))
        await state.each([{ key: "position", value: offset }]);
      return { events, checkpoint: { offset } };
    };
    let isUnderWay = false;
    const ahead: SourceBatch<{ offset: number }>[] = [];
    let aheadBytes = 0;
    const isAhead = is("reads ahead without bound") || is("drops what nobody asks for");
    const reading = (async () => {
      while (isAhead && !signal.aborted) {
        const batch = await next();
        if (batch.events.length === 0) await sleep(1);
        else if (is("reads ahead without bound") || aheadBytes < 1.5 * maxBytes) {
          ahead.push(batch);
          aheadBytes += JSON.stringify(batch).length;
        }
      }
    })();

    reading.catch(() => {}); // told at the end
    const emitted = new Set<string>();
    let yielded = -1;
    while (!signal.aborted) {
      if (is("adds a listener a round")) signal.addEventListener("abort", () => {});
      const request = asked.shift();
      const isTold = request && (await state.get([`told-${request.id}`]))[0] !== undefined;
      const isEmpty = isTold || (is("only sweeps when it has resumed") && checkpoint !== undefined);
      if (request) yield* snapshot(path, isEmpty ? 0 : offset, request, { broken, isAt: offset });
      if (request && is("jumps ahead behind a snapshot")) offset = (await readFile(path)).length;
      if (request && is("reads once for all who asked"))
        yield {
          events: [],
          checkpoint: { offset },
          completes: asked.splice(0).map(({ id }) => id),
        };
      const isOver = is("looks only once") && isUnderWay;
      const waits = is("waits for its origin through an abort");
      while (existsSync(stalledBy(path)) && !(signal.aborted && !waits)) await sleep(5);
      if (!existsSync(path)) {
        if (is("tells its token in an outage")) log.warn({ config }, "no file");
        if (is("gives up in an outage")) throw new ConfigError("journal: no file.", { code });
        if (is("sleeps through its abort in an outage")) {
          log.warn({}, "no file, trying again");
          await sleep(2_500);
          continue;
        }
        if (is("takes an outage for deletes")) {
          log.warn({}, "no file");
          const epoch = 2;
          const events = [...emitted].map((key) =>
            deleted(about(key, version({ epoch, position: 0n, rank: 0, tail: 0 }))),
          );
          yield { events, checkpoint: { offset } };
        }
        if (is("takes an outage for silence") || is("takes an outage for deletes")) {
          await sleep(everyMs);
          continue;
        }
      }
      const batch = isAhead || isOver ? ahead.shift() : await next();
      for (const { subject } of batch?.events ?? []) emitted.add(String(subject));
      isUnderWay = true;
      if (batch && is("spins while nothing happens") && batch.events.length === 0) {
        for (let times = 0; times < 10; times += 1) yield batch;
        await sleep(1);
      } else if (batch && batch.checkpoint.offset > yielded) {
        const end = is("has its checkpoint run ahead of its batch") && (await stat(path)).size;
        yield end ? { ...batch, checkpoint: { offset: end } } : batch;
        yielded = batch.checkpoint.offset;
        aheadBytes -= JSON.stringify(batch).length;
      } else if (is("sleeps through its abort")) await sleep(2_500);
      else await sleep(everyMs, undefined, { signal }).catch(() => {}); // it ends below
    }
    await Promise.all([listening, reading]);
    if (is("never returns from its abort")) await new Promise(() => {});
    if (is("outlives its abort")) await sleep(1_200);
  },
});

/** As if its origin knew it. */
export const rightToken = "the-one-it-knows";

/** Hands at the journal. */
export function journalOrigin(path: string) {
  const write = (key: string, text: string | null) =>
    appendFile(path, `${JSON.stringify({ key, text })}\n`);
  return {
    put: async (key: string, text: string) => {
      await write(key, text);
      return key;
    },
    remove: (key: string) => write(key, null),
  };
}

/** The file that has the journal at `path` not answer. */
export function stalledBy(path: string): string {
  return `${path}.stalled`;
}

function named(key: string, broken: string | undefined): string {
  if (broken === "names records in small letters") return key.toLowerCase();
  return broken === "cuts the names of records" ? key.slice(0, 20) : key;
}

function latinOf(text: string | null): string | null {
  return text && Buffer.from(text, "latin1").toString("latin1");
}

function about(key: string, at: ReturnType<typeof version>) {
  const time = "2026-01-01T00:00:00Z";
  return { source: "/journal", key, subject: key, version: at, time, meta: {} };
}

/** All that the lines before `end` left, and the sweep of the rest. */
async function* snapshot(
  path: string,
  end: number,
  { id, audience }: SnapshotRequest,
  { broken, isAt }: { readonly broken: (typeof faults)[number] | undefined; readonly isAt: number },
): AsyncGenerator<SourceBatch<{ offset: number }>> {
  const held = new Map<string, string>();
  for (const { key, text } of (await linesFrom(path, 0, end)).lines)
    if (text === null) held.delete(key);
    else held.set(key, text);
  const at = version({ epoch: 1, position: BigInt(isAt), rank: 0, tail: 0 });
  const to = audience === undefined || broken === "forgets the audience" ? {} : { audience };
  const events = [...held].map(([key, text]) =>
    upserted({ ...about(key, at), ...to, op: "read", after: { text } }),
  );
  const above = version({ epoch: 1, position: BigInt(isAt), rank: 0, tail: 1 });
  const lowest = version({ epoch: 1, position: 0n, rank: 0, tail: 0 });
  const tooLow = broken === "sweeps too low" ? lowest : at;
  const below = broken === "sweeps what it just read" ? above : tooLow;
  const { source, time } = about("*", at);
  const sweep = cleared({ source, below, time, reason: "sweep", meta: {}, ...to });
  const checkpoint = { offset: isAt };
  if (broken === "has a request run ahead of its batch" && events.length > 1) {
    const writes = [{ key: `told-${id}`, value: true }];
    yield { events: events.splice(0, 1), checkpoint, writes };
  }
  if (broken === "completes too early") yield { events: [], checkpoint, completes: [id] };
  const isDone = broken !== "never completes" && broken !== "completes too early";
  yield { events: [...events, sweep], checkpoint, ...(isDone && { completes: [id] }) };
}

/** Whole lines from an offset on, at least one if there is one, about `most` bytes. */
async function linesFrom(path: string, from: number, most: number) {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const bytes = Buffer.alloc(Math.min(size - from, most));
    await file.read(bytes, 0, bytes.length, from);
    const whole = bytes.subarray(0, bytes.lastIndexOf("\n") + 1);
    let at = from;
    const lines = String(whole)
      .split("\n")
      .slice(0, -1)
      .map((text) => {
        const one = { at, ...line.parse(JSON.parse(text)) };
        at += Buffer.byteLength(text) + 1;
        return one;
      });
    return { lines, end: at };
  } finally {
    await file.close();
  }
}
