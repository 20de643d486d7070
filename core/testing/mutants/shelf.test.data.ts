import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, openSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { defineSink, type WriteRun } from "../../connector.ts";
import { FencedError, PartialError, PoisonError, SluiceError } from "../../errors.ts";
import { isRecordChange, type RecordChange, type SluiceEvent } from "../../event.ts";
import { inScope } from "../../queue/partition.ts";

/** One thing each that the sink does wrong. */
const faults = [
  "loses what it was given",
  "writes twice what comes twice",
  "keeps what was there",
  "leaves orphans of what shrinks",
  "leaves all but one of what shrinks",
  "deletes the first part only",
  "lets go of the first part only",
  "clears the first part only",
  "clears a page only",
  "clears beyond its scope",
  "cuts what is long",
  "writes Latin letters only",
  "folds the case of subjects",
  "cleans subjects",
  "cuts subjects",
  "writes the first sixty of a batch",
  "keeps versions to itself",
  "keeps versions to its process",
  "writes its state unfenced",
  "lets the first of equals stand",
  "takes older versions",
  "ignores epochs",
  "ignores ranks and tails",
  "compares versions as numbers",
  "compares versions as words",
  "ignores the epochs of tombstones",
  "ignores the epoch of a clear",
  "forgets what it deleted",
  "forgets deletes of long ago",
  "leaves out what a snapshot read",
  "ignores deletes of what it holds in that version",
  "ignores deletes beside puts",
  "mixes up partitions",
  "believes what is redelivered",
  "misses what is absent",
  "knows no origins",
  "clears other origins",
  "clears what is at it",
  "ignores its abort",
  "goes on behind its abort",
  "ignores its deadline",
  "looks at its deadline once",
  "looks at its deadline before the first event only",
  "reads once what is there",
  "takes what it cannot write for written",
  "calls an outage poison",
  "sleeps through its abort in an outage",
  "tries by itself past its deadline",
  "waits for its target through an abort",
  "settles late",
  "swallows what it refuses",
  "names what did not fail",
  "names what failed among the puts",
  "stops at what it refuses",
  "stops behind the chunk of what it refuses",
  "notes before it writes",
  "notes a clear before it is done",
  "empties before it writes",
  "lets go of a record when its first part is gone",
  "closes once",
  "leaves a timer",
  "leaves a file open",
  "leaves a listener",
  "leaves a quiet timer",
  "tells its token",
  "prints its token",
] as const;

const code = "shelf.refused";
/** By file, of whoever is open. */
const ofProcess = new Map<string, string>();

/** Keeps one file a record; a deleted one stays as its version. */
export const shelf = defineSink({
  name: "shelf",
  version: "1.0.0",
  summary: "A file a record.",
  config: z.strictObject({
    path: z.string().min(1).describe("The folder."),
    token: z.string().min(1).optional().meta({ secret: true }).describe("For nothing."),
    broken: z.enum(faults).optional().describe("What it does wrong."),
  }),
  accepts: ["dev.sluice.record."],
  async open({ config, state }) {
    const { path, token, broken } = config;
    const is = (fault: (typeof faults)[number]) => broken === fault;
    if (is("tells its token") && token) throw new SluiceError(`${token} is refused.`, { code });
    if (is("leaves a quiet timer")) setInterval(() => {}, 1_000).unref();
    if (is("prints its token")) console.error(`with ${token}`);
    if (is("leaves a timer")) setInterval(() => {}, 1_000);
    await mkdir(path, { recursive: true });
    let isClosed = false;
    let current: readonly SluiceEvent[] = [];

    const named = (subject: string) => {
      if (is("folds the case of subjects")) return subject.toLowerCase();
      if (is("cleans subjects")) return subject.replaceAll(/\W/g, "_");
      return is("cuts subjects") ? subject.slice(0, 255) : subject;
    };
    const fileOf = ({ source, subject }: RecordChange) =>
      join(path, hash(is("knows no origins") ? subject : `${source}\n${named(subject)}`));
    const versions = is("keeps versions to its process") ? ofProcess : new Map<string, string>();
    const isForgetful = is("keeps versions to itself") || is("keeps versions to its process");
    const isNoted = async (key: string, sequence: string, { fence }: WriteRun) => {
      const [noted] = await state.get([key]);
      if (typeof noted?.value === "string" && noted.value >= sequence) return true;
      await state.each([{ key, value: sequence }], fence);
      return false;
    };
    const known = new Map<string, RecordChange>();
    if (is("reads once what is there"))
      for (const name of await readdir(path)) {
        const held = await read(join(path, name));
        if (held) known.set(join(path, name), held);
      }
    const put = async (event: RecordChange, run: WriteRun) => {
      const file = fileOf(event);
      const found = is("reads once what is there") ? known.get(file) : await read(file);
      const isOld = found?.type === "dev.sluice.record.deleted" && ageMs(found) > 10_000;
      const held = isOld && is("forgets deletes of long ago") ? undefined : found;
      if (!held || held.sequence <= event.sequence) known.set(file, event);
      if (isForgetful) {
        if ((versions.get(file) ?? "") > event.sequence) return;
        versions.set(file, event.sequence);
      }
      if (is("writes its state unfenced")) await state.each([{ key: file, value: event.sequence }]);
      const isDelete = event.type === "dev.sluice.record.deleted";
      const isRead = event.type === "dev.sluice.record.upserted" && event.data.op === "read";
      if (is("leaves out what a snapshot read") && isRead) return;
      const { sequence } = event;
      if (is("misses what is absent") && isDelete && !held)
        throw new SluiceError("shelf: it is not there.", { code });
      const takesAny =
        is("takes older versions") || (is("believes what is redelivered") && run.redelivered);
      if (held && isAfter(held, event, broken) && !takesAny && !isForgetful) return;
      if (held?.sequence === sequence) {
        if (is("lets the first of equals stand") && !isDelete) return;
        if (is("ignores deletes of what it holds in that version") && isDelete) return;
      }
      if (is("forgets what it deleted") && isDelete) return rm(file, { force: true });
      if (is("notes before it writes") && (await isNoted(file, sequence, run))) return;
      if (is("loses what it was given") && event.subject === "r1") return;
      const before = partsOf(held);
      const isNews = held && held.sequence < sequence;
      const extra: string[] = [];
      if (is("keeps what was there") && !isDelete && isNews) extra.push(...before);
      if (is("writes twice what comes twice") && held?.sequence === sequence) extra.push(...before);
      if (is("leaves orphans of what shrinks") && !isDelete && before.length > 1)
        extra.push(...before);
      if (is("leaves all but one of what shrinks") && !isDelete)
        extra.push(...before.filter((part) => !partsOf(event).includes(part)).slice(1));
      if (is("deletes the first part only") && isDelete && isNews) extra.push(...before.slice(1));
      if (is("lets go of the first part only") && isDelete && !isNews)
        extra.push(...before.slice(1));
      if (is("empties before it writes") && held && !isDelete) await rm(file);
      const whole = JSON.stringify({ ...event, ...(extra.length > 0 && { extra }) });
      const text = is("cuts what is long") ? withoutTail(event) : whole;
      await writeFile(`${file}.new`, text, is("writes Latin letters only") ? "latin1" : "utf8");
      await rename(`${file}.new`, file);
    };
    const clear = async (event: RecordChange, run: WriteRun) => {
      if (event.type !== "dev.sluice.collection.cleared") return;
      if (is("notes a clear before it is done") && (await isNoted("clear", event.sequence, run)))
        return;
      const { below, scope } = event.data;
      let cleared = 0;
      for (const name of await readdir(path)) {
        const held = await read(join(path, name));
        if (!held || (held.sequence > below && !is("ignores the epoch of a clear"))) continue;
        if (is("ignores the epoch of a clear") && held.sequence.slice(8) > below.slice(8)) continue;
        if (held.sequence === below && !is("clears what is at it")) continue;
        if (!inScope(held.partitionkey, scope) && !is("clears beyond its scope")) continue;
        if (held.source !== event.source && !is("clears other origins")) continue;
        if ((cleared += 1) > 100 && is("clears a page only")) return;
        if (is("lets go of a record when its first part is gone")) {
          if ("isGone" in held) continue;
          const [, ...others] = partsOf(held);
          const first = { ...held, data: { after: {} }, others, isGone: true };
          if (others.length > 0) await writeFile(join(path, name), JSON.stringify(first));
        }
        const rest = is("clears the first part only") ? partsOf(held).slice(1) : [];
        if (rest.length > 0)
          await writeFile(join(path, name), JSON.stringify({ ...held, data: { after: {} }, rest }));
        else await rm(join(path, name), { force: true });
      }
    };

    const insistently = async (event: RecordChange, run: WriteRun): Promise<void> => {
      for (;;) {
        await sleep(20, undefined, { signal: run.signal });
        const isWritten = await put(event, run).then(
          () => true,
          () => false,
        );
        if (isWritten) return;
      }
    };

    const write = async (events: readonly SluiceEvent[], run: WriteRun) => {
      if (is("leaves a listener")) run.signal.addEventListener("abort", () => {});
      if (is("leaves a file open")) openSync(path, "r");
      const { deadline } = run;
      const isTooLate = (at: number) => {
        if (is("ignores its deadline")) return false;
        if (is("looks at its deadline before the first event only") && at > 0) return false;
        const now = performance.now();
        return now >= (is("looks at its deadline once") ? deadline : run.deadline);
      };
      const waits = is("waits for its target through an abort");
      await answering(path, waits ? undefined : run.signal);
      if (is("settles late")) await sleep(2);
      if (is("settles late") && run.signal.aborted) await sleep(1_200);
      if (!is("ignores its abort")) run.signal.throwIfAborted();
      current = events;
      if (is("mixes up partitions")) await sleep(1);
      const most = is("writes the first sixty of a batch") ? 60 : Infinity;
      const given = (is("mixes up partitions") ? current : events).slice(0, most);
      const changes = given.filter(isRecordChange);
      const hasPuts = changes.some(({ type }) => type === "dev.sluice.record.upserted");
      const failures = new Map<number, PoisonError>();
      for (const [at, event] of changes.entries()) {
        if (is("stops behind the chunk of what it refuses") && failures.size > 0 && at % 200 === 0)
          break;
        if (isTooLate(at)) throw new FencedError("shelf: the lease has ended.", { code });
        const isDelete = event.type === "dev.sluice.record.deleted";
        if (is("ignores deletes beside puts") && hasPuts && isDelete) continue;
        const isClear = event.type === "dev.sluice.collection.cleared";
        if (isClear || !JSON.stringify(event.data).includes("poison"))
          await (isClear ? clear : put)(event, run).catch(async (cause: unknown) => {
            if (is("takes what it cannot write for written")) return;
            if (is("sleeps through its abort in an outage")) await sleep(2_500);
            if (is("tries by itself past its deadline")) return await insistently(event, run);
            if (is("calls an outage poison")) throw new PoisonError("shelf: bad.", { code });
            throw cause;
          });
        else if (!is("swallows what it refuses")) {
          const deletes = changes.slice(0, at).filter(({ type }) => type.endsWith(".deleted"));
          const ofPuts = is("names what failed among the puts") ? at - deletes.length : at;
          const wrong = is("names what did not fail") ? 0 : ofPuts;
          failures.set(wrong, new PoisonError("shelf: refused.", { code }));
          if (is("stops at what it refuses")) break;
        }
      }
      if (failures.size > 0) throw new PartialError("shelf: some failed.", { code, failures });
    };
    return {
      write: async (events, run) => {
        const writing = write(events, run);
        if (!is("goes on behind its abort")) return writing;
        const aborted = once(run.signal, "abort").then(() => run.signal.throwIfAborted());
        return Promise.race([writing, aborted]);
      },
      close: async () => {
        if (isClosed && is("closes once")) throw new Error("shelf: closed already.");
        isClosed = true;
      },
    };
  },
});

/** Resolves when no file beside the folder says that it is to wait. */
async function answering(path: string, signal: AbortSignal | undefined): Promise<void> {
  while (existsSync(stalledBy(path))) await sleep(5, undefined, signal && { signal });
}

/** The file that has the shelf in `path` take what it is given and not answer. */
export function stalledBy(path: string): string {
  return `${path}.stalled`;
}

/** All that the shelf holds. */
export async function readShelf(path: string): Promise<readonly string[]> {
  const names = (await readdir(path)).filter((name) => !name.endsWith(".new"));
  return Promise.all(names.map((name) => readFile(join(path, name), "utf8")));
}

async function read(file: string): Promise<RecordChange | undefined> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as RecordChange; // as `put` wrote it
  } catch {
    return undefined; // not there, or cut short by a crash before it was renamed
  }
}

/** Whether the held one is of a higher version. */
function isAfter(held: RecordChange, event: RecordChange, broken: string | undefined): boolean {
  const [a, b] = [held.sequence, event.sequence];
  const isTombstone = held.type === "dev.sluice.record.deleted";
  if (broken === "ignores epochs" || (broken === "ignores the epochs of tombstones" && isTombstone))
    return a.slice(8) > b.slice(8);
  if (broken === "ignores ranks and tails") return a.slice(0, 24) > b.slice(0, 24);
  if (broken === "compares versions as numbers")
    return Number.parseInt(a, 16) > Number.parseInt(b, 16);
  return broken === "compares versions as words" ? a.localeCompare(b) > 0 : a > b;
}

function ageMs({ time }: RecordChange): number {
  return Date.now() - Date.parse(time);
}

function partsOf(event: RecordChange | undefined): readonly string[] {
  if (event?.type !== "dev.sluice.record.upserted") return [];
  const { text } = event.data.after;
  return typeof text === "string" ? text.split("\n\n") : [];
}

function withoutTail(event: RecordChange): string {
  if (event.type !== "dev.sluice.record.upserted") return JSON.stringify(event);
  const text = partsOf(event).join("\n\n").slice(0, 65_536);
  return JSON.stringify({ ...event, data: { ...event.data, after: { text } } });
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
