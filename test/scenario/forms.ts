import { fileURLToPath } from "node:url";

/** How the scenario's services are run. */
export interface Form {
  readonly stages: "fused" | "split";
  readonly queue: "embedded" | "redis";
  readonly origin: "folder" | "s3";
}

export const forms: readonly Form[] = (["folder", "s3"] as const).flatMap((origin) =>
  (["embedded", "redis"] as const).flatMap((queue) =>
    (["fused", "split"] as const).map((stages) => ({ stages, queue, origin })),
  ),
);

export function nameOf({ stages, queue, origin }: Form): string {
  return `${origin}, ${stages}, ${queue}`;
}

/** Where an example's config lies. */
function example(name: string): string {
  return fileURLToPath(new URL(`../../../examples/genai/${name}.json`, import.meta.url));
}

/** The processes of a form, each with the files it starts. `written` are the files of this run's own. */
export function processesOf(
  form: Form,
  written: { readonly fused: string; readonly domain: string },
): readonly (readonly string[])[] {
  const domain = form.origin === "folder" ? example("domain") : written.domain;
  if (form.stages === "fused") return [[domain, written.fused]];
  return [
    [domain],
    [example("tokenizer")],
    [example("chunker")],
    [example("vectorizer")],
    [example("index")],
    [example("word-embedding")],
    [example("prompt-builder"), example("language-model")],
  ];
}

/** The same stages as the example's services, in two connectors. */
export const fused = {
  project: "genai",
  queue: "${SLUICE_QUEUE}",
  connectors: [
    {
      name: "index",
      sink: "pinecone",
      from: "domain",
      transforms: [{ use: "parse" }, { use: "chunk" }],
      config: { index: "genai", local: "${GENAI_INDEX}" },
    },
    {
      name: "answer",
      transform: "llm",
      from: ["questions", "answers"],
      to: "answers",
      transforms: [
        { use: "converse" },
        { use: "embed", config: { input: "query" } },
        {
          use: "retrieve",
          config: {
            index: { store: "pinecone", config: { index: "genai", local: "${GENAI_INDEX}" } },
          },
        },
        { use: "prompt" },
      ],
    },
  ],
};

/** The domain's documents from a bucket instead of a folder. */
export const bucketDomain = {
  project: "genai",
  queue: "${SLUICE_QUEUE}",
  connectors: [
    {
      name: "documents",
      source: "s3",
      to: "domain",
      config: {
        bucket: "${GENAI_BUCKET}",
        endpoint: "${S3_ENDPOINT}",
        region: "us-east-1",
        accessKeyId: "${S3_KEY}",
        secretAccessKey: "${S3_SECRET}",
        everyMs: 500,
      },
    },
  ],
};
