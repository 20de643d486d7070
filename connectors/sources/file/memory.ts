import { z, type StateStore, type StateWrite } from "sluice";

const known = z.object({
  size: z.number(),
  mtimeMs: z.number(),
  ctimeMs: z.number(),
  ino: z.number(),
  /** SHA-256 of the content, hex. */
  etag: z.string(),
  /** Of the last event that everybody got. */
  version: z.string(),
});

/** What was last emitted of a file. */
export type Known = Readonly<z.infer<typeof known>>;

/**
 * What was emitted of each file, by path: it tells news from what the sinks have. Here a change counts
 * at once; the write it returns is stored with the batch that carries the event, never before.
 */
export interface Memory {
  readonly get: (path: string) => Known | undefined;
  readonly paths: () => Iterable<string>;
  readonly size: () => number;
  readonly set: (path: string, value: Known) => StateWrite;
  readonly remove: (path: string) => StateWrite;
}

const prefix = "f/";

export async function openMemory(state: StateStore): Promise<Memory> {
  const files = new Map<string, Known>();
  for await (const page of state.scan(prefix))
    for (const { key, value } of page) files.set(key.slice(prefix.length), known.parse(value));
  return {
    get: (path) => files.get(path),
    paths: () => files.keys(),
    size: () => files.size,
    set: (path, value) => {
      files.set(path, value);
      return { key: prefix + path, value };
    },
    remove: (path) => {
      files.delete(path);
      return { key: prefix + path, value: undefined };
    },
  };
}
