import { z } from "zod";
import { isPartOf } from "../child.ts";
import { isRecordChange, type RecordChange, type SluiceEvent } from "../event.ts";
import { inScope } from "../queue/partition.ts";
import type { Fence, StateStore, StateWrite } from "../state/state.ts";

/** What came of one record when it was last split. */
export interface Family {
  /** Keys of its children. After a crash or for a catch-up also those of the time before: never too few. */
  readonly keys: readonly string[];
  /** The version that was last split for everybody; an older one is news to nobody. */
  readonly sequence: string;
}

/**
 * The children of every record that a stage split, in the consumer's state, beside the connectors' own:
 * what it takes to delete those that vanish.
 */
export interface Children {
  /** Those that were split, by `source`, a newline, and `subject`. */
  readonly of: (records: readonly RecordChange[]) => Promise<ReadonlyMap<string, Family>>;
  /** `undefined`: the record is not split any more. */
  readonly write: (record: RecordChange, family: Family | undefined) => StateWrite;
  readonly store: (writes: readonly StateWrite[], fence: Fence) => Promise<void>;
  /** Forgets what a clear removes. */
  readonly clear: (event: SluiceEvent, fence: Fence) => Promise<void>;
}

const family = z.object({
  keys: z.array(z.string()),
  sequence: z.string(),
  partitionkey: z.string(),
});

const childrenPrefix = "children/";

/**
 * Where a consumer's state remembers what came of a record and of its parts, whatever stage split them.
 * None where it does not know the record itself: keys of two columns are written like parts.
 */
export async function familyKeysOf(
  state: StateStore,
  { source, subject }: { readonly source: string; readonly subject: string },
): Promise<readonly string[]> {
  const keys: string[] = [];
  let isKnown = false;
  for await (const page of state.scan(childrenPrefix))
    for (const { key } of page) {
      const end = key.indexOf("\n");
      const of = key.slice(end + 1);
      if (!key.slice(0, end).endsWith(`/${source}`)) continue;
      if (of === subject) isKnown = true;
      if (of === subject || isPartOf(of, subject)) keys.push(key);
    }
  return isKnown ? keys : [];
}

/** For reading without a trace: nothing was split before, and nothing is remembered. */
export const noChildren: Children = {
  of: async () => new Map(),
  write: () => ({ key: "", value: undefined }),
  store: async () => {},
  clear: async () => {},
};

/**
 * For the stage called `stage` of a consumer. `undefined` where it neither splits nor ever did: then
 * nothing has to be looked up for every event.
 */
export async function openChildren(
  state: StateStore,
  stage: string,
  splits: boolean,
): Promise<Children | undefined> {
  const prefix = `${childrenPrefix}${stage}/`;
  const keyOf = ({ source, subject }: RecordChange) => `${prefix}${source}\n${subject}`;
  if (!splits) {
    const pages = state.scan(prefix, { pageSize: 1 })[Symbol.asyncIterator]();
    const { done } = await pages.next();
    await pages.return?.(undefined);
    if (done) return undefined;
  }
  const store = async (writes: readonly StateWrite[], fence: Fence) => {
    if (writes.length > 0) await state.each(writes, fence);
  };

  return {
    of: async (records) => {
      const unique = new Map(
        records.map((record) => [`${record.source}\n${record.subject}`, record]),
      );
      const entries = await state.get([...unique.values()].map(keyOf));
      const found = entries.flatMap((entry, at) => {
        const key = [...unique.keys()][at] ?? "";
        return entry ? [[key, family.parse(entry.value)] as const] : [];
      });
      return new Map(found);
    },
    write: (record, value) => {
      const { partitionkey } = record;
      const entry = value && { keys: [...value.keys], sequence: value.sequence, partitionkey };
      return { key: keyOf(record), value: entry };
    },
    store,
    clear: async (event, fence) => {
      if (!isRecordChange(event) || event.type !== "dev.sluice.collection.cleared") return;
      const { source, data, audience } = event;
      if (audience !== undefined) return;
      for await (const page of state.scan(`${prefix}${source}\n`))
        await store(
          page
            .filter(({ value }) => {
              const { sequence, partitionkey } = family.parse(value);
              return sequence < data.below && inScope(partitionkey, data.scope);
            })
            .map(({ key }) => ({ key, value: undefined })),
          fence,
        );
    },
  };
}
