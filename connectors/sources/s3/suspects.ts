import type { Bucket } from "./bucket.ts";
import { byBytes } from "./byte-order.ts";
import type { Look } from "./desk.ts";
import type { Memory } from "./memory/memory.ts";
import type { Problems } from "./problems.ts";
import type { Select } from "./select.ts";

export interface Finding {
  /** Every key up to this one is compared. */
  readonly position: string;
  readonly look?: Look;
}

/** What a listing shows and is no record: the console's folders. */
export function isFolder(key: string, size: number): boolean {
  return size === 0 && key.endsWith("/");
}

/**
 * Goes through the bucket and through what is known of it side by side, both in byte order, and finds the
 * keys where they differ: new, replaced, gone and unwanted ones, wherever they sort; with `isForced` every key.
 * Only a few pages of either are in memory. `spare` is told of known objects that cannot be read now.
 */
export async function* suspects(
  { bucket, memory, select, problems }: Compared,
  run: {
    readonly after: string;
    readonly isForced: boolean;
    /** Also what is known and as it was may be unwanted now. */
    readonly isRecheck: boolean;
    readonly maxBytes: number;
    readonly signal: AbortSignal;
    readonly spare: () => void;
  },
): AsyncGenerator<Finding> {
  const { after, isForced, isRecheck, maxBytes, signal, spare } = run;
  const remembered = memory.behind(after);
  let next = await remembered.next();

  for (const prefix of select.prefixes) {
    const isInside = after.startsWith(prefix);
    if (!isInside && byBytes(after, prefix) > 0) continue;
    for await (const page of bucket.list({ prefix, after: isInside ? after : "" }, { signal })) {
      let position = after;
      for (const object of page) {
        const { key } = object;
        position = key;
        for (; !next.done && byBytes(next.value.key, key) < 0; next = await remembered.next())
          yield { position: next.value.key, look: gone(next.value.key) };
        let known: string | undefined;
        if (!next.done && next.value.key === key) {
          known = next.value.fingerprint;
          next = await remembered.next();
        }
        if (!select.wants(key) || isFolder(key, object.size)) {
          if (known !== undefined) yield { position: key, look: gone(key) };
          continue;
        }
        const isTooLarge = object.size > maxBytes;
        if (isTooLarge && known === undefined)
          problems.tell("too-large", key, { bytes: object.size });
        else if (!isTooLarge && object.isArchived) {
          problems.tell("archived", key, { bytes: object.size });
          if (known !== undefined) spare();
          if (known !== undefined && isRecheck)
            yield { position: key, look: { key, isForced, isRecheck, known, ...ofPass } };
        } else if (isForced || isTooLarge || known !== object.fingerprint || isRecheck)
          yield {
            position: key,
            look: { key, isForced, isRecheck, known, listed: object, size: object.size, ...ofPass },
          };
      }
      yield { position };
    }
  }
  for (; !next.done; next = await remembered.next())
    yield { position: next.value.key, look: gone(next.value.key) };
}

interface Compared {
  readonly bucket: Bucket;
  readonly memory: Memory;
  readonly select: Select;
  readonly problems: Problems;
}

/** A listing alone is not believed: the object itself has to say that it is not there. */
function gone(key: string): Look {
  return { key, isForced: false, size: 0, ...ofPass };
}

const ofPass = { isOfPass: true, messages: [] } as const;
