/** Cuts items into packs of at most `maxCount` items and `maxSize` in all; an item larger than that goes alone. */
export function* packs<T>(
  items: readonly T[],
  limits: {
    readonly maxCount: number;
    readonly maxSize?: number;
    readonly sizeOf?: (item: T) => number;
  },
): Generator<readonly T[]> {
  const { maxCount, maxSize = Infinity, sizeOf = () => 0 } = limits;
  let pack: T[] = [];
  let total = 0;
  for (const item of items) {
    const size = sizeOf(item);
    if (pack.length > 0 && (pack.length >= maxCount || total + size > maxSize)) {
      yield pack;
      pack = [];
      total = 0;
    }
    pack.push(item);
    total += size;
  }
  if (pack.length > 0) yield pack;
}
