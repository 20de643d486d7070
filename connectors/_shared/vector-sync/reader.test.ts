import { expect, it } from "vitest";
import { ConfigError } from "sluice";
import { fakes } from "sluice/testing";
import { modelMarkOf } from "./content-hash.ts";
import { at, doc, namespace, world } from "./harness.ts";
import { fixedNamespace } from "./namespace-template.ts";
import { vectorReader } from "./reader.ts";

const { signal } = new AbortController();

it("finds the chunk that says it, with its text and where it is from", async () => {
  const here = await world();
  const texts = ["the cat sleeps on the warm stove", "invoices are due in thirty days"];
  await here.open().write([doc("d", texts, at(1))], fakes.writeRun());
  const reader = vectorReader({ ...here, namespace: fixedNamespace(namespace) });
  const { matches, lsn } = await reader.search(
    { text: "when are invoices due", topK: 1 },
    { signal },
  );
  expect(matches.map(({ metadata }) => metadata)).toMatchObject([
    { text: texts[1], uri: "file:d", _subject: "d" },
  ]);
  expect(lsn).toBe(1n);
  const [vector] = await here.embedder.embed([texts[0] ?? ""], { input: "query", signal });
  const byVector = await reader.search({ ...(vector && { vector }), topK: 1 }, { signal });
  expect(byVector.matches[0]?.metadata["text"]).toBe(texts[0]);
  for (const question of [{}, { text: "" }, { text: " \n" }])
    await expect(reader.search({ ...question, topK: 1 }, { signal })).rejects.toMatchObject({
      code: "vectors.empty-question",
      fix: expect.any(String),
    });
});

it("knows the model from the index alone, and refuses to ask with another", async () => {
  const here = await world();
  const reader = vectorReader({ ...here, namespace: fixedNamespace(namespace) });
  expect(await reader.model()).toBeUndefined();
  expect((await reader.search({ text: "anything", topK: 3 }, { signal })).matches).toEqual([]);
  await here.open().write([doc("d", ["text"], at(1))], fakes.writeRun());
  expect(await reader.model()).toBe(modelMarkOf(here.embedder.fingerprint));
  const other = { ...here.embedder, fingerprint: "another/64" };
  const asking = vectorReader({ ...here, embedder: other, namespace: fixedNamespace(namespace) });
  await expect(asking.search({ text: "anything", topK: 3 }, { signal })).rejects.toThrow(
    ConfigError,
  );
});
