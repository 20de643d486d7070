import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { defineSink, FencedError, inScope, isRecordChange, z, type RecordChange } from "sluice";

/** Keeps one JSON file per record. A deleted one stays as its version: what is older must not come back. */
export const mySink = defineSink({
  name: "my-sink",
  version: "1.0.0",
  summary: "One JSON file per record.",
  config: z.strictObject({
    path: z.string().min(1).meta({ path: true }).describe("Folder to write; created if absent."),
  }),
  accepts: ["dev.sluice.record."],
  async open({ config: { path } }) {
    await mkdir(path, { recursive: true });
    return {
      write: async (events, run) => {
        for (const event of events.filter(isRecordChange)) {
          run.signal.throwIfAborted();
          if (performance.now() >= run.deadline)
            throw new FencedError("my-sink: the lease has ended.", { code: "my-sink.lease-ended" });
          if (event.type !== "dev.sluice.collection.cleared") {
            await put(path, event);
            continue;
          }
          const { below, scope } = event.data;
          for (const name of await readdir(path)) {
            const held = name.endsWith(".json") ? await read(join(path, name)) : undefined;
            if (held?.source !== event.source || held.sequence >= below) continue;
            if (inScope(held.partitionkey, scope)) await rm(join(path, name), { force: true });
          }
        }
      },
      close: async () => {},
    };
  },
});

async function put(path: string, event: RecordChange): Promise<void> {
  const name = createHash("sha256").update(`${event.source}\n${event.subject}`).digest("hex");
  const file = join(path, `${name}.json`);
  const held = await read(file);
  if (held && held.sequence > event.sequence) return;
  await writeFile(`${file}.new`, JSON.stringify(event));
  await rename(`${file}.new`, file);
}

async function read(file: string): Promise<RecordChange | undefined> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as RecordChange; // as `put` wrote it
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
