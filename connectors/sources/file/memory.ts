import { z, type RecordChange, type StateStore, type StateWrite } from "sluice";

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
 *
 * A crash between publishing and storing leaves the sinks ahead of the memory, and the file may change
 * back, or go, before we look again. So each batch is announced first. What a batch announced and did
 * not store is in doubt: known, but equal to nothing, so that whatever is there now is emitted.
 */
export interface Memory {
  readonly get: (path: string) => Known | undefined;
  readonly paths: () => Iterable<string>;
  readonly size: () => number;
  readonly set: (path: string, value: Known) => StateWrite;
  readonly remove: (path: string) => StateWrite;
  /** Stores what the batch is about. The write it returns belongs to the batch and takes that back. */
  readonly announce: (changes: readonly RecordChange[]) => Promise<readonly StateWrite[]>;
  /** Takes back what earlier runs announced, where nothing of it is in doubt any more. */
  readonly settled: () => readonly StateWrite[];
}

const filePrefix = "f/";
const batchPrefix = "b/";
const inDoubt = { size: -1, mtimeMs: 0, ctimeMs: 0, ino: 0, etag: "" };

export async function openMemory(state: StateStore): Promise<Memory> {
  const files = new Map<string, Known>();
  for await (const page of state.scan(filePrefix))
    for (const { key, value } of page) files.set(key.slice(filePrefix.length), known.parse(value));

  let announced = new Map<string, readonly string[]>();
  for await (const page of state.scan(batchPrefix))
    for (const { key, value } of page) {
      const paths = z.array(z.string()).parse(value);
      announced.set(key, paths);
      const version = key.slice(batchPrefix.length);
      for (const path of paths)
        files.set(path, { ...inDoubt, version: files.get(path)?.version ?? version });
    }

  return {
    get: (path) => files.get(path),
    paths: () => files.keys(),
    size: () => files.size,
    set: (path, value) => {
      files.set(path, value);
      return { key: filePrefix + path, value };
    },
    remove: (path) => {
      files.delete(path);
      return { key: filePrefix + path, value: undefined };
    },
    announce: async (changes) => {
      const [lowest] = changes.map(({ sequence }) => sequence).toSorted(bytewise);
      if (lowest === undefined) return [];
      // Versions are never used twice: a process that lost its lease cannot overwrite this.
      const key = batchPrefix + lowest;
      await state.each([{ key, value: changes.map(({ subject }) => subject) }]);
      return [{ key, value: undefined }];
    },
    settled: () => {
      const isDone = (paths: readonly string[]) =>
        paths.every((path) => files.get(path)?.etag !== inDoubt.etag);
      const done = [...announced].filter(([, paths]) => isDone(paths)).map(([key]) => key);
      announced = new Map([...announced].filter(([key]) => !done.includes(key)));
      return done.map((key) => ({ key, value: undefined }));
    },
  };
}

function bytewise(a: string, b: string): number {
  return a < b ? -1 : 1;
}
