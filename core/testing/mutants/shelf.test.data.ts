import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { defineSink } from "../../connector.ts";
import { FencedError, PartialError, PoisonError, SluiceError } from "../../errors.ts";
import { isRecordChange, type RecordChange, type SluiceEvent } from "../../event.ts";
import { inScope } from "../../queue/partition.ts";

/** One thing each that the sink does wrong. */
const faults = [
  "loses what it was given",
  "writes twice what comes twice",
  "keeps what was there",
  "leaves orphans of what shrinks",
  "lets the first of equals stand",
  "takes older versions",
  "forgets what it deleted",
  "ignores deletes of what it holds in that version",
  "ignores deletes beside puts",
  "mixes up partitions",
  "believes what is redelivered",
  "misses what is absent",
  "knows no origins",
  "clears other origins",
  "ignores its abort",
  "ignores its deadline",
  "settles late",
  "swallows what it refuses",
  "names what did not fail",
  "stops at what it refuses",
  "notes before it writes",
  "notes a clear before it is done",
  "empties before it writes",
  "closes once",
  "leaves a timer",
  "tells its token",
] as const;

const code = "shelf.refused";

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
    if (is("leaves a timer")) setInterval(() => {}, 1_000);
    await mkdir(path, { recursive: true });
    let isClosed = false;
    let current: readonly SluiceEvent[] = [];

    const fileOf = ({ source, subject }: RecordChange) =>
      join(path, hash(is("knows no origins") ? subject : `${source}\n${subject}`));
    const isNoted = async (key: string, sequence: string) => {
      const [noted] = await state.get([key]);
      if (typeof noted?.value === "string" && noted.value >= sequence) return true;
      await state.each([{ key, value: sequence }]);
      return false;
    };
    const put = async (event: RecordChange, isRedelivered: boolean) => {
      const file = fileOf(event);
      const held = await read(file);
      const isDelete = event.type === "dev.sluice.record.deleted";
      const { sequence } = event;
      if (is("misses what is absent") && isDelete && !held)
        throw new SluiceError("shelf: it is not there.", { code });
      const takesAny =
        is("takes older versions") || (is("believes what is redelivered") && isRedelivered);
      if (held && held.sequence > sequence && !takesAny) return;
      if (held?.sequence === sequence) {
        if (is("lets the first of equals stand") && !isDelete) return;
        if (is("ignores deletes of what it holds in that version") && isDelete) return;
      }
      if (is("forgets what it deleted") && isDelete) return rm(file, { force: true });
      if (is("notes before it writes") && (await isNoted(file, sequence))) return;
      if (is("loses what it was given") && event.subject === "r1") return;
      const before = JSON.stringify(held?.type === "dev.sluice.record.upserted" ? held.data : "");
      const keeps = is("keeps what was there") && !isDelete && held && held.sequence < sequence;
      const shrank = is("leaves orphans of what shrinks") && before.includes("\\n");
      const twice = is("writes twice what comes twice") && held?.sequence === sequence;
      const extra = keeps || (shrank && !isDelete) || twice ? { extra: before } : {};
      if (is("empties before it writes") && held && !isDelete) {
        await rm(file);
        await sleep(100);
      }
      await writeFile(`${file}.new`, JSON.stringify({ ...event, ...extra }));
      await rename(`${file}.new`, file);
    };
    const clear = async (event: RecordChange) => {
      if (event.type !== "dev.sluice.collection.cleared") return;
      if (is("notes a clear before it is done") && (await isNoted("clear", event.sequence))) return;
      const { below, scope } = event.data;
      for (const name of await readdir(path)) {
        const held = await read(join(path, name));
        if (!held || held.sequence >= below || !inScope(held.partitionkey, scope)) continue;
        if (held.source === event.source || is("clears other origins"))
          await rm(join(path, name), { force: true });
      }
    };

    return {
      write: async (events, run) => {
        if (is("settles late")) await sleep(2);
        if (is("settles late") && run.signal.aborted) await sleep(1_200);
        if (!is("ignores its abort")) run.signal.throwIfAborted();
        if (!is("ignores its deadline") && performance.now() >= run.deadline)
          throw new FencedError("shelf: the lease has ended.", { code });
        current = events;
        if (is("mixes up partitions")) await sleep(1);
        const changes = (is("mixes up partitions") ? current : events).filter(isRecordChange);
        const hasPuts = changes.some(({ type }) => type === "dev.sluice.record.upserted");
        const failures = new Map<number, PoisonError>();
        for (const [at, event] of changes.entries()) {
          const isDelete = event.type === "dev.sluice.record.deleted";
          if (is("ignores deletes beside puts") && hasPuts && isDelete) continue;
          if (event.type === "dev.sluice.collection.cleared") await clear(event);
          else if (!JSON.stringify(event.data).includes("poison"))
            await put(event, run.redelivered);
          else if (!is("swallows what it refuses")) {
            const wrong = is("names what did not fail") ? 0 : at;
            failures.set(wrong, new PoisonError("shelf: refused.", { code }));
            if (is("stops at what it refuses")) break;
          }
        }
        if (failures.size > 0) throw new PartialError("shelf: some failed.", { code, failures });
      },
      close: async () => {
        if (isClosed && is("closes once")) throw new Error("shelf: closed already.");
        isClosed = true;
      },
    };
  },
});

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

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
