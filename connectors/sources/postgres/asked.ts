import { setTimeout as sleep } from "node:timers/promises";

/** The same items, once one is there; undefined when none comes within `ms`. */
export async function oncePresent<T>(
  items: AsyncIterable<T>,
  ms: number,
  signal: AbortSignal,
): Promise<AsyncIterable<T> | undefined> {
  const iterator = items[Symbol.asyncIterator]();
  const answered = new AbortController();
  const late = sleep(ms, undefined, { signal: AbortSignal.any([signal, answered.signal]) });
  const first = await Promise.race([iterator.next(), late.catch(() => undefined)]);
  answered.abort();
  if (!first || first.done) return undefined;
  return (async function* () {
    for (let item: IteratorResult<T> = first; !item.done; item = await iterator.next())
      yield item.value;
  })();
}
