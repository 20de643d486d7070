import { BSON, type ClientSession, type Collection, type Db, type MongoClient } from "mongodb";
import type { Key } from "../../connectors/sources/mongodb/harness.ts";
import type { Random } from "./random.ts";

const words =
  "river stone lantern harbour copper meadow signal winter thread orchard engine ladder paper summit anchor velvet mirror garden bridge cellar".split(
    " ",
  );
/** Captured, but for the last one: what is renamed from and to it comes and goes. */
export const captured = ["articles", "notes", "archive"];
const names = [...captured, "elsewhere"];

/** Collections of a database under random change. */
export interface ChangingCollections {
  /** One random change; `isLate`: none that empties a collection, so that the end is not an empty database. */
  readonly change: (isLate?: boolean) => Promise<void>;
}

interface Content {
  title: string;
  body: string;
  hidden?: boolean;
  tags?: string[];
  n?: number;
}
type Article = Content & { _id?: Key };

/** What is there before the first copy. */
export async function fillCollections(database: Db): Promise<void> {
  for (const name of names) {
    const documents = Array.from({ length: 60 }, (_, at) => ({
      _id: at % 3 === 0 ? `text ${at}` : at,
      title: `title ${at}`,
      body: `A body of ${name}, number ${at}.`,
      hidden: at % 7 === 0,
      tags: ["first"],
    }));
    await database.collection<Article>(name).insertMany(documents);
  }
}

/**
 * Inserts, updates, replacements and deletes, one by one, in bulk and in transactions, of keys of all types; drops
 * and renames of collections and of the database. One that fails was not made, or was: what is there says.
 */
export function changingCollections(
  client: MongoClient,
  name: string,
  random: Random,
): ChangingCollections {
  const database = client.db(name);
  const text = () =>
    Array.from({ length: 3 + random.below(12) }, () => random.pick(words)).join(" ");
  const any = () => database.collection<Article>(random.pick(names));
  const content = (): Content => ({
    title: text(),
    body: random.below(5) === 0 ? Array.from({ length: 30 }, text).join(". ") : `${text()}.`,
    hidden: random.below(6) === 0,
    tags: [random.pick(words)],
  });
  const key = () => keyOf(random);
  const fresh = (_id: Key): Article => ({ _id, ...content() });

  const steps: readonly (readonly [number, (isLate: boolean) => Promise<unknown>])[] = [
    [18, () => any().insertOne(fresh(key()))],
    [18, () => any().updateOne({ _id: key() }, { $set: { title: text() } })],
    [10, () => any().updateOne({ _id: key() }, { $set: { body: text() } }, { upsert: true })],
    [
      6,
      () => any().updateOne({ _id: key() }, { $push: { tags: { $each: [text()], $slice: -3 } } }),
    ],
    [6, () => any().updateOne({ _id: key() }, { $set: { hidden: random.below(2) === 0 } })],
    [12, () => any().replaceOne({ _id: key() }, content(), { upsert: true })],
    [12, () => any().deleteOne({ _id: key() })],
    [3, () => any().updateMany({ _id: { $gte: 0, $lt: random.below(60) } }, { $inc: { n: 1 } })],
    [2, () => any().deleteMany({ _id: { $gte: 20, $lt: 20 + random.below(20) } })],
    [3, () => flip(any(), key())],
    [
      3,
      () => {
        const from = random.below(1_000) * 100;
        const many = Array.from({ length: 1 + random.below(100) }, (_, at) => fresh(from + at));
        return any().insertMany(many, { ordered: false });
      },
    ],
    [2, () => any().deleteMany({ _id: { $gte: 1_000 } })],
    [6, () => transaction(client, random, [any(), any(), any()], { key, content })],
    [1, async (isLate) => !isLate && (await any().drop())],
    [1, async (isLate) => !isLate && any().rename(random.pick(names), { dropTarget: true })],
    [1, async (isLate) => !isLate && random.below(4) === 0 && database.dropDatabase()],
  ];
  const total = steps.reduce((sum, [weight]) => sum + weight, 0);
  return {
    change: async (isLate = false) => {
      let dice = random.below(total);
      const step = steps.find(([weight]) => (dice -= weight) < 0);
      await step?.[1](isLate).catch(() => undefined); // no such collection, a key twice, no primary
    },
  };
}

/** Often one that is there: few of each type. What is equal to the server, 1 and 1.0, is told apart by us. */
function keyOf(random: Random): Key {
  const number = random.below(60);
  switch (random.below(10)) {
    case 0:
      return `text ${number}`;
    case 1:
      return new BSON.Double(number);
    case 2:
      return BSON.Long.fromNumber(number);
    case 3:
      return BSON.ObjectId.createFromHexString(number.toString(16).padStart(24, "0"));
    case 4:
      return { b: number % 5, a: "part" };
    case 5:
      return random.pick([true, null, new Date(number * 1_000), new BSON.MinKey(), "", "ünï #1"]);
    default:
      return number;
  }
}

/** Replaces a document by one whose key is of another type and equal to the server. */
async function flip(collection: Collection<Article>, _id: Key): Promise<void> {
  if (typeof _id !== "number") return;
  const flipped = { _id: new BSON.Double(_id), title: "flipped", body: "Now a double." };
  await collection.replaceOne({ _id }, flipped);
}

async function transaction(
  client: MongoClient,
  random: Random,
  collections: readonly Collection<Article>[],
  make: { readonly key: () => Key; readonly content: () => Content },
): Promise<void> {
  const isAborted = random.below(5) === 0;
  // Drawn beforehand, so that what fails draws no less.
  const plan = collections.map((collection) => ({
    collection,
    _id: make.key(),
    content: make.content(),
  }));
  const isDeleted = random.below(2) === 0;
  // Not `withTransaction`: it tries again for two minutes.
  await client.withSession(async (session: ClientSession) => {
    session.startTransaction();
    for (const { collection, _id, content } of plan) {
      await collection.replaceOne({ _id }, content, { upsert: true, session });
      await collection.updateOne({ _id }, { $set: { title: "last word" } }, { session });
    }
    const [first] = plan;
    if (first && isDeleted) await first.collection.deleteOne({ _id: first._id }, { session });
    await (isAborted ? session.abortTransaction() : session.commitTransaction());
  });
}
