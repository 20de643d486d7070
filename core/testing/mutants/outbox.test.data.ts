import { readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { defineSource } from "../../connector.ts";
import { upserted } from "../../event.ts";
import { version } from "../../version.ts";

const message = z.object({ key: z.string(), text: z.string() });

/** A folder of messages, one file each, in the order of their names: it forgets those that are confirmed. */
export const outbox = defineSource({
  name: "outbox",
  version: "1.0.0",
  summary: "Files of a folder, once each.",
  config: z.strictObject({
    path: z.string().min(1).describe("The folder."),
    broken: z
      .enum(["confirms what is not settled", "confirms nothing"])
      .optional()
      .describe("What it does wrong."),
  }),
  checkpoint: z.strictObject({ after: z.string() }),
  emits: ["dev.sluice.record."],
  capabilities: { deletes: false, snapshotOnRequest: false, replays: true, forgets: true },
  async *read({ config: { path, broken }, checkpoint, settled, signal }) {
    const confirmsNothing = broken === "confirms nothing"; // as whoever leaves its place to its origin
    let after = (confirmsNothing ? undefined : checkpoint?.after) ?? "";
    const confirm = (names: readonly string[]) =>
      Promise.all(names.map((name) => rm(join(path, name), { force: true })));
    // What was confirmed before this run may go while it looks.
    const textOf = (name: string) => readFile(join(path, name), "utf8").catch(() => undefined);
    while (!signal.aborted) {
      const names = (await readdir(path)).filter((name) => name > after && !name.endsWith(".new"));
      const some = names.toSorted().slice(0, 10);
      const events = await Promise.all(
        some.map(async (name) => {
          const written = await textOf(name);
          if (written === undefined) return [];
          const { key, text } = message.parse(JSON.parse(written));
          const at = version({ epoch: 1, position: BigInt(name), rank: 1, tail: 0 });
          const about = { source: "/outbox", key, subject: key, version: at, meta: {} };
          const time = "2026-01-01T00:00:00Z";
          return [upserted({ ...about, time, op: "update", after: { text } })];
        }),
      );
      after = some.at(-1) ?? after;
      if (some.length === 0) {
        await sleep(5, undefined, { signal }).catch(() => {}); // it ends below
        continue;
      }
      yield { events: events.flat(), checkpoint: { after } };
      if (confirmsNothing) continue;
      const safe = broken === undefined ? settled() : Promise.resolve();
      void safe.then(() => confirm(some)).catch(() => {}); // unconfirmed it comes again
    }
  },
});

export function outboxOrigin(path: string) {
  let count = 0;
  return {
    put: async (key: string, text: string) => {
      count += 1;
      const file = join(path, String(count).padStart(8, "0"));
      await writeFile(`${file}.new`, JSON.stringify({ key, text }));
      await rename(`${file}.new`, file);
      return key;
    },
    remove: async () => {},
  };
}
