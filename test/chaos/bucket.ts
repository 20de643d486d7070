import type { TestBucket } from "../../connectors/sources/s3/harness.ts";
import type { Random } from "./random.ts";

/** A bucket under random change, and what it holds: key → text. */
export interface ChangingBucket {
  readonly objects: ReadonlyMap<string, string>;
  /** One random put, edit, rename, delete; of a note, or of a table with a document a row. */
  readonly change: () => Promise<void>;
}

const words =
  "river stone lantern harbour copper meadow signal winter thread orchard engine ladder paper summit".split(
    " ",
  );
const folders = ["", "a/", "a b/", "a+b/", "ünïcode/", "z/deep/", "100%/"];

/** `maxObjects` bounds how many exist at once. */
export function changingBucket(
  bucket: TestBucket,
  random: Random,
  maxObjects: number,
): ChangingBucket {
  const objects = new Map<string, string>();
  let made = 0;

  const put = async (key: string, text: string) => {
    await bucket.put(key, text);
    objects.set(key, text);
  };
  const remove = async (key: string) => {
    await bucket.remove(key);
    objects.delete(key);
  };
  const any = () => random.pick([...objects.keys()]);
  const newKey = (extension: string) => `${random.pick(folders)}${made++}.${extension}`;
  const edited = (key: string) =>
    key.endsWith(".csv") ? editedTable(objects.get(key) ?? "", random) : note(random);

  return {
    objects,
    change: async () => {
      const dice = random.next();
      if (objects.size < 10 || (dice < 0.35 && objects.size < maxObjects)) {
        if (random.next() < 0.3) await put(newKey("csv"), table(random));
        else await put(newKey("md"), note(random));
        return;
      }
      const key = any();
      if (dice < 0.65) await put(key, edited(key));
      else if (dice < 0.75) {
        await put(newKey(key.endsWith(".csv") ? "csv" : "md"), objects.get(key) ?? "");
        await remove(key);
      } else if (dice < 0.85) {
        for (let write = 0; write < 3; write++) await put(key, edited(key));
        if (random.next() < 0.3) await remove(key);
      } else await remove(key);
    },
  };
}

function note(random: Random): string {
  const heading = `# ${random.pick(words)} ${random.pick(words)}`;
  const paragraphs = Array.from({ length: 1 + random.below(3) }, () => sentence(random));
  return [heading, ...paragraphs].join("\n\n");
}

function table(random: Random): string {
  const rows = Array.from({ length: random.below(12) }, (_, id) => `${id},${sentence(random)}`);
  return ["id,text", ...rows].join("\n");
}

/** A row more, a row less, another text. */
function editedTable(text: string, random: Random): string {
  const [header = "", ...rows] = text.split("\n");
  const dice = random.next();
  if (dice < 0.4 && rows.length > 0) rows.splice(random.below(rows.length), 1);
  else if (dice < 0.7 && rows.length > 0) {
    const at = random.below(rows.length);
    rows[at] = `${rows[at]?.split(",")[0]},${sentence(random)}`;
  } else rows.push(`n${random.below(1e6)},${sentence(random)}`);
  return [header, ...rows].join("\n");
}

function sentence(random: Random): string {
  return `${Array.from({ length: 5 + random.below(20) }, () => random.pick(words)).join(" ")}.`;
}
