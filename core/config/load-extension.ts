import type { EmbedderExtension, Extension, VectorStoreExtension } from "../extension.ts";
import { ConfigError } from "../errors.ts";
import { exportOf, type OfKind } from "./modules.ts";

/** The embedder that a loaded config names: its `use` is a file by then. */
export async function loadEmbedder(file: string): Promise<EmbedderExtension> {
  return (await load("embedder", file)) as EmbedderExtension; // of that kind, made by its define function
}

/** The vector store that a loaded config names: its `use` is a file by then. */
export async function loadVectorStore(file: string): Promise<VectorStoreExtension> {
  return (await load("store", file)) as VectorStoreExtension; // of that kind, made by its define function
}

async function load(kind: Extension["kind"], file: string): Promise<OfKind> {
  const made = await exportOf(kind, { type: file, file });
  if ("found" in made) return made.found;
  const { code, message, fix } = made.problem;
  throw new ConfigError(`config: ${message}`, { code, fix });
}
