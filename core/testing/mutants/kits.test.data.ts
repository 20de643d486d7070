import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { upserted } from "../../event.ts";
import {
  embedderConformance,
  sinkConformance,
  sourceConformance,
  transformConformance,
  vectorStoreConformance,
  type Case,
  type Outage,
} from "../index.ts";
import { drawers } from "./drawers.test.data.ts";
import { expected } from "./expected.test.data.ts";
import {
  journal,
  journalOrigin,
  rightToken,
  stalledBy as journalStalledBy,
} from "./journal.test.data.ts";
import { letters } from "./letters.test.data.ts";
import { broken, misdefined } from "./misdefined.test.data.ts";
import { outbox, outboxOrigin } from "./outbox.test.data.ts";
import { readShelf, shelf, stalledBy } from "./shelf.test.data.ts";
import { poison, samples, words } from "./words.test.data.ts";

export type Kind = keyof typeof expected;
export const kinds = Object.keys(expected) as readonly Kind[];

/** The kit of a connector over an origin or a target of its own below `dir`. `fault` is what the connector does wrong. */
export async function kitOf(
  kind: Kind,
  fault: string | undefined,
  dir: string,
): Promise<readonly Case[]> {
  const home = await mkdtemp(join(dir, `${kind}-`));
  const wrong = fault === undefined || fault in misdefined ? {} : { broken: fault };
  const module = new URL(`./${kind}.test.data.js`, import.meta.url);
  switch (kind) {
    case "journal": {
      const path = join(home, "journal.ndjson");
      await writeFile(path, "");
      return sourceConformance({
        source: broken(journal, fault),
        config: { path, everyMs: 5, token: rightToken, ...wrong },
        origin: journalOrigin(path),
        module,
        outage: gone(path),
        stall: there(journalStalledBy(path)),
        patienceMs: 1_000,
        many: 120,
      });
    }
    case "outbox":
      return sourceConformance({
        source: broken(outbox, fault),
        config: { path: home, ...wrong },
        origin: outboxOrigin(home),
        patienceMs: 1_000,
      });
    case "words": {
      const isOther = fault === "says that it accepts something else";
      return transformConformance({
        transform: { ...broken(words, fault), ...(isOther && { accepts: ["com.example."] }) },
        config: wrong,
        samples,
        poison,
        module,
      });
    }
    case "shelf":
      return sinkConformance({
        sink: broken(shelf, fault),
        config: { path: home, ...wrong },
        read: () => readShelf(home),
        poison: (about, texts) =>
          upserted({ ...about, op: "update", after: { text: `poison ${texts.join(" ")}` } }),
        module,
        outage: away(home),
        stall: there(stalledBy(home)),
      });
    case "letters":
      return embedderConformance({ embedder: broken(letters, fault), config: wrong, module });
    case "drawers": {
      const path = join(home, "drawers.json");
      return vectorStoreConformance({
        store: broken(drawers, fault),
        config: { path, ...wrong },
        absent: { path: join(home, "absent.json"), ...wrong },
        module,
        patienceMs: 200,
        ...(fault === "takes filters that it does not have" && { filter: false }),
      });
    }
  }
}

/** A file that is away meanwhile. */
function gone(path: string): Outage {
  return {
    begin: () => rename(path, `${path}.away`),
    end: () => rename(`${path}.away`, path),
  };
}

/** A folder whose place something else has taken. */
function away(path: string): Outage {
  return {
    begin: async () => {
      await rename(path, `${path}.away`);
      await writeFile(path, "");
    },
    end: async () => {
      await rm(path);
      await rename(`${path}.away`, path);
    },
  };
}

/** A file that is there meanwhile. */
function there(path: string): Outage {
  return { begin: () => writeFile(path, ""), end: () => rm(path) };
}

/** Runs the cases one after the other; the names of those that fail. */
export async function caughtBy(cases: readonly Case[]): Promise<string[]> {
  const caught: string[] = [];
  for (const { name, run } of cases) await run().catch(() => caught.push(name));
  return caught;
}
