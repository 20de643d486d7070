import { ConfigError } from "../errors.ts";
import type { EmbedderExtension, Extension, VectorStoreExtension } from "../extension.ts";
import { exportOf } from "./modules.ts";

/**
 * The embedder that a loaded config names: its `use` is an absolute file by then. Throws `ConfigError`
 * `config.broken-connector` or `config.connector-api` where the module holds none that fits.
 */
export async function loadEmbedder(file: string): Promise<EmbedderExtension> {
  return await load("embedder", file);
}

/**
 * The vector store that a loaded config names: its `use` is an absolute file by then. Throws `ConfigError`
 * `config.broken-connector` or `config.connector-api` where the module holds none that fits.
 */
export async function loadVectorStore(file: string): Promise<VectorStoreExtension> {
  return await load("store", file);
}

async function load<K extends Extension["kind"]>(kind: K, file: string) {
  const made = await exportOf(kind, { type: file, file });
  if ("found" in made) return made.found;
  const { code, message, fix } = made.problem;
  throw new ConfigError(`config: ${message}`, { code, fix });
}
