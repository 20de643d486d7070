/** Chooses up to `size` of any number of items, each with the same chance, in one pass. */
export function reservoir<T>(
  size: number,
  random: () => number = Math.random,
): { readonly offer: (item: T) => void; readonly taken: () => readonly T[] } {
  const kept: T[] = [];
  let offered = 0;
  return {
    offer(item) {
      offered += 1;
      if (kept.length < size) {
        kept.push(item);
        return;
      }
      const place = Math.floor(random() * offered);
      if (place < size) kept[place] = item;
    },
    taken: () => kept,
  };
}
