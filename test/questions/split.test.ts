import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { startService, vectorsOf, type Service } from "./pipeline.ts";

let services: Service[] = [];
afterEach(async () => {
  await Promise.all(services.map((one) => one.close()));
  services = [];
});

const source = {
  name: "notes",
  source: "file",
  to: "files",
  config: { path: "${DIR}/notes", rescanMs: 1_000 },
};
const index = { index: "kb", apiKey: "any", url: "${PINECONE}", create: true };

const fused = (embedding: object) => ({
  connectors: [
    source,
    {
      name: "search",
      sink: "pinecone",
      from: "files",
      transforms: [{ use: "parse" }, { use: "chunk", config: { maxTokens: 40 } }],
      config: { ...index, embedding },
    },
  ],
});
const split = (embedding: object) => {
  const transforms = [
    ["parse", {}],
    ["tokenize", { maxTokens: 40, embedding }],
    ["chunk", { maxTokens: 40, embedding }],
    ["embed", { embedding }],
  ] as const;
  return {
    connectors: [
      source,
      ...transforms.map(([name, config], at) => ({
        name,
        transform: name,
        from: transforms[at - 1]?.[0] ?? "files",
        to: name,
        config,
      })),
      { name: "search", sink: "pinecone", from: "embed", config: { ...index, embedding } },
    ],
  };
};

const texts = ["river stone", "lantern harbour", "copper meadow"].map((words, at) =>
  Array.from(
    { length: 6 },
    (_, n) => `## ${words} ${n}\n\n${`${words} ${at} `.repeat(12)}${n}.`,
  ).join("\n\n"),
);

async function run(file: object): Promise<Service> {
  const service = await startService([file]);
  services.push(service);
  for (const [at, text] of texts.entries())
    writeFileSync(join(service.dir, "notes", `${at}.md`), text);
  await expect
    .poll(async () => Object.keys(await vectorsOf(service, "kb")).length, { timeout: 30_000 })
    .toBeGreaterThanOrEqual(18);
  await service.settle();
  return service;
}

it.each([{ provider: "local" }, { provider: "hash" }])(
  "split in stages, the index holds what the fused pipeline makes of it, bit for bit; the sink embeds nothing: %j",
  async (embedding) => {
    const one = await run(fused(embedding));
    const other = await run(split(embedding));
    const [theirs, ours] = await Promise.all([vectorsOf(one, "kb"), vectorsOf(other, "kb")]);
    expect(valuesOf(ours)).toEqual(valuesOf(theirs));
    expect(await one.counted("search", "embeds")).toBeGreaterThan(0);
    expect(await other.counted("search", "embeds")).toBe(0);
    expect(await other.counted("embed", "embeds")).toBe(await one.counted("search", "embeds"));
  },
  60_000,
);

/** Float32 as the server has them; metadata holds times and folders. */
function valuesOf(vectors: Awaited<ReturnType<typeof vectorsOf>>) {
  return Object.fromEntries(Object.entries(vectors).map(([id, { values }]) => [id, values]));
}
