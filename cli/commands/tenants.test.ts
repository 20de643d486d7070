import { describe, expect, it } from "vitest";
import { docKeyOf } from "../../connectors/_shared/vector-sync/doc-key.ts";
import { auditedFolder, listed } from "./audit.test.data.ts";

const { cli, configure, remove, start, stop, synced, tamper, until, write } = auditedFolder();

const note = (tenant: string, text: string) =>
  `---\ntenant: ${tenant}\n---\n\n# ${text}\n\n${text} body\n`;
const sink = { namespace: "{{ tenant }}" };
const parse = { metadata: ["tenant"] };

describe("an index with a namespace for every tenant", () => {
  it("is verified in all of them, also when records moved and when they were tampered with", async () => {
    configure({ parse, sink });
    for (let n = 0; n < 6; n++) write(`n${n}.md`, note(n % 2 ? "acme" : "globex", `note ${n}`));
    write("homeless.md", "# no tenant\n\nat all\n");
    await start();
    await synced(6);
    await until(async () => (await cli("status")).result.deadLetters.search === 1);
    write("gone.md", note("acme", "soon gone"));
    await synced(7);
    remove("gone.md");
    await synced(6);
    write("n0.md", note("acme", "note 0"));
    // Refused by the template: a dead letter, and no drift.
    const { code, result } = await cli("verify", "search");
    expect(result).toMatchObject({ vectors: 6, compared: 7, isDrifted: false });
    expect(code).toBe(0);
    await stop();
    await tamper(async (call) => {
      expect(await listed(call, "globex")).toHaveLength(2);
      const [id = ""] = await listed(call, "acme");
      const copy = { id, values: Array.from({ length: 64 }, () => 1) };
      await call("/vectors/upsert", { namespace: "nobody", vectors: [copy] });
      await call("/vectors/delete", { namespace: "globex", deleteAll: true });
      // Deleted long ago, and put back by somebody.
      const back = `${docKeyOf("/file/folder", "gone.md")}#0123456789abcdef~0`;
      await call("/vectors/upsert", { namespace: "acme", vectors: [{ ...copy, id: back }] });
    });
    const found = await cli("verify", "search", "--patience", "0");
    expect(found.result.drift).toMatchObject({ missing: 2, orphaned: 2, stale: 0 });
    expect(found.code).toBe(1);
    await start();
    await cli("verify", "search", "--repair", "--force");
    await until(async () => !(await cli("verify", "search")).result.isDrifted);
    const again = await cli("verify", "search");
    expect(again.result).toMatchObject({ vectors: 6, isDrifted: false });
  }, 180_000);

  it("loses a record in all of them, with the counts that prove it; a second time there is nothing", async () => {
    configure({ parse, sink });
    write("ada.md", note("acme", "ada"));
    write("bob.md", note("acme", "bob"));
    await start();
    await synced(2);
    await stop();
    await tamper(async (call) => {
      // An older write that nobody has notes of.
      const [id = ""] = (await listed(call, "acme")).filter((one) => one.includes("ada"));
      const copy = { id, values: Array.from({ length: 64 }, () => 1) };
      await call("/vectors/upsert", { namespace: "globex", vectors: [copy] });
    });
    remove("ada.md");
    const of = ["erase", "--source", "/file/folder", "--key", "ada.md", "--yes"];
    const { result } = await cli(...of);
    expect(result).toMatchObject({
      isErased: true,
      sinks: [{ vectors: 2, manifests: 1, remaining: 0 }],
    });
    expect(result.sinks[0].places.toSorted()).toEqual(["acme", "globex"]);
    await tamper(async (call) => {
      expect(await listed(call, "globex")).toEqual([]);
      expect(await listed(call, "acme")).toHaveLength(1);
    });
    const second = await cli(...of);
    expect(second.result).toMatchObject({ isErased: true, sinks: [{ vectors: 0, manifests: 0 }] });
  }, 120_000);
});

it("another model is refused, by verify too; but what the index holds can still be erased", async () => {
  configure();
  write("ada.md");
  await start();
  await synced(1);
  await stop();
  configure({ embedding: { dimensions: 32 } });
  const check = await cli("check");
  expect(JSON.stringify(check)).toContain("vectors.dimensions-mismatch");
  const verified = await cli("verify", "search");
  expect(verified.error?.code).toBe("vectors.dimensions-mismatch");
  const erased = await cli("erase", "--source", "/file/folder", "--key", "ada.md", "--yes");
  expect(erased.result).toMatchObject({ isErased: true, sinks: [{ vectors: 3 }] });
}, 60_000);
