import { expect, it } from "vitest";
import { PartialError, type StateStore, type VectorStore } from "sluice";
import { fakes } from "sluice/testing";
import { docKeyOf } from "./doc-key.ts";
import { at, doc, source, world, type World } from "./harness.ts";
import { manifestKeyOf, toJson, toManifest } from "./manifest.ts";

const run = () => fakes.writeRun();
const key = manifestKeyOf(docKeyOf(source, "a"));

async function noteOf(state: StateStore) {
  const [entry] = await state.get([key]);
  return toManifest(entry);
}

/** The same store, and something that happens just before each upsert. */
function interrupted({ store }: World, before: () => Promise<void>): VectorStore {
  return {
    ...store,
    async upsert(vectors, place) {
      await before();
      return store.upsert(vectors, place);
    },
  };
}

it("that another worker wrote meanwhile are not written over", async () => {
  const here = await world();
  const theirs = at(7);
  const store = interrupted(here, async () => {
    const manifest = await noteOf(here.state);
    if (manifest === undefined) throw new Error("there are no notes");
    await here.state.each([{ key, value: toJson({ ...manifest, version: theirs }) }]);
  });
  const writing = here.open({ store }).write([doc("a", ["one"], at(1))], run());
  const error = await writing.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(PartialError);
  expect(error).toMatchObject({ failures: new Map([[0, { code: "vectors.manifest-changed" }]]) });
  expect((await noteOf(here.state))?.version).toBe(theirs);
});

it("that are lost come back with the partition key that sweeps go by", async () => {
  const here = await world();
  const document = { ...doc("a", ["one"], at(1)), partitionkey: "tenant 1" };
  await here.open().write([document], run());
  for await (const page of here.state.scan(""))
    await here.state.each(page.map((entry) => ({ key: entry.key, value: undefined })));
  expect(await noteOf(here.state)).toBeUndefined();
  await here.open().write([doc("b", ["two"], at(1))], run());
  expect((await noteOf(here.state))?.partitionkey).toBe("tenant 1");
});
