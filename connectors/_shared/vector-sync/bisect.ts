import { PoisonError } from "sluice";

/**
 * Makes one request for all items; where it is refused as poison, halves them until the items at
 * fault stand alone. Those go to `refused`, the others are done. Any other error is thrown.
 */
export async function bisect<T>(
  items: readonly T[],
  request: (items: readonly T[]) => Promise<void>,
  refused: (item: T, error: PoisonError) => void,
): Promise<void> {
  const [first] = items;
  if (first === undefined) return;
  try {
    return await request(items);
  } catch (error) {
    if (!(error instanceof PoisonError)) throw error;
    if (items.length === 1) return refused(first, error);
  }
  const half = Math.ceil(items.length / 2);
  await bisect(items.slice(0, half), request, refused);
  await bisect(items.slice(half), request, refused);
}
