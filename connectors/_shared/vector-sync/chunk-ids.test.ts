import { expect, it } from "vitest";
import type { Drift, VectorStore } from "sluice";
import { fakes } from "sluice/testing";
import { openAudit } from "./audit/auditor.ts";
import { assertEqualsOracle, at, doc, namespace, source, world } from "./harness.ts";
import type { MemoryStore } from "./memory-store.ts";
import { defaultRules } from "./metadata.ts";
import { fixedNamespace } from "./namespace-template.ts";

const { signal } = new AbortController();
const asked = doc("a_b.md", ["one", "two"], at(1));
const other = doc("axb.md", ["three", "four"], at(1));

/** Lists as SQL's LIKE does: a `_` of the prefix is any character. */
function loose(store: MemoryStore): VectorStore {
  return {
    ...store,
    async *list(prefix, run) {
      const pattern = new RegExp(`^${prefix.replaceAll(".", "\\.").replaceAll("_", ".")}`);
      const ids = store.dump(run.namespace).map(({ id }) => id);
      yield ids.filter((id) => pattern.test(id));
    },
  };
}

async function synced() {
  const here = await world();
  const store = loose(here.store);
  const writer = here.open({ store });
  await writer.write([asked, other], fakes.writeRun());
  const audit = await openAudit({
    ...fakes.context({ config: {} }),
    store,
    state: here.state,
    embedder: here.embedder,
    openEmbedder: async () => here.embedder,
    namespace: fixedNamespace(namespace),
    rules: defaultRules,
  });
  return { here, writer, audit };
}

it("erasing a record takes nothing of one whose name its prefix matches as a pattern", async () => {
  const { here, audit } = await synced();
  const erased = await audit.erase({ source, subject: "a_b.md" }, { signal });
  expect(erased).toMatchObject({ vectors: 2, remaining: 0 });
  await assertEqualsOracle(here.store, [other]);
});

it("comparing a record with the index finds nothing of such a one", async () => {
  const { here, writer } = await synced();
  here.written();
  await writer.write([asked], fakes.writeRun({ redelivered: true }));
  expect(here.written()).toBe(1);
  expect(here.counters.get("redelivered_mended")).toBeUndefined();
  await assertEqualsOracle(here.store, [asked, other]);
});

it("verifying calls nothing of such a one too much", async () => {
  const { here, audit } = await synced();
  const [lost = ""] = here.store.dump(namespace).map(({ id }) => id);
  await here.store.remove([lost], { namespace, signal });
  const drifts: Drift[] = [];
  const how = { sample: 0, values: false, lineage: [], patienceMs: 0, settled: async () => true };
  for await (const drift of audit.verify(how, { signal })) drifts.push(drift);
  expect(drifts).toMatchObject([{ kind: "missing", subject: "a_b.md", ids: [lost] }]);
});
