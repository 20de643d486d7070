import { isUpsert, type SluiceEvent } from "sluice";
import { fakes } from "sluice/testing";
import { afterAll, expect, it } from "vitest";
import { startMongod } from "../../../test/mongod.ts";
import { inside, type Loose } from "./harness.ts";
import { mongodb } from "./mongodb.ts";

const set = await startMongod();
afterAll(() => set.stop());

async function scanned(config: object): Promise<readonly SluiceEvent[]> {
  const { scan } = mongodb;
  if (!scan) throw new Error("it cannot be scanned");
  const parsed: unknown = mongodb.config.parse({ url: set.url, ...config });
  const state = fakes.state();
  const context = fakes.context({ name: "shop", config: parsed, state: state.state });
  const events: SluiceEvent[] = [];
  for await (const page of scan(context)) events.push(...page);
  for await (const page of state.state.scan("")) expect(page).toEqual([]);
  return events;
}

it("reads every document once, in chunks, whatever `snapshot` says", async () => {
  const db = set.client().db("scan");
  const notes = db.collection<Loose>("notes");
  await notes.insertMany([
    ...Array.from({ length: 25 }, (_, n) => ({ _id: n, body: `text ${n}` })),
    ...Array.from({ length: 25 }, (_, n) => ({ _id: `s${n}`, body: `text ${n}` })),
  ]);
  await db.collection<Loose>("other").insertOne({ _id: 1, body: "not captured" });
  await db.createCollection("view", { viewOn: "notes", pipeline: [] });
  for (const snapshot of ["initial", "never"]) {
    const events = await scanned({ collections: ["scan.notes"], chunkDocuments: 7, snapshot });
    const found = events.flatMap((event) =>
      event.type === "dev.sluice.record.upserted" && isUpsert(event)
        ? [[event.subject, (event.data as { readonly after: object }).after] as const]
        : [],
    );
    expect(found).toHaveLength(50);
    expect(new Map(found)).toEqual(await inside(notes));
  }
  const some = await scanned({
    collections: ["scan.*"],
    filter: { body: "text 3" },
    pipeline: [{ $addFields: { "fullDocument.added": 1 } }],
    chunkDocuments: 7,
  });
  expect(some).toHaveLength(2);
  for (const { data } of some) expect(data).toMatchObject({ after: { body: "text 3", added: 1 } });
});
