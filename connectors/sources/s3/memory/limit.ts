import { z, type StateStore, type StateWrite } from "sluice";

/**
 * The `maxBytes` that all that is known was read under. Under a lower one an object may be too large that
 * did not change; what a listing shows tells that, unless it is packed.
 */
export interface Limit {
  /** What is known must be looked at again. */
  readonly isLowered: () => boolean;
  /** All of it was, from the first key to the last. */
  readonly checked: () => readonly StateWrite[];
}

const key = "m";

export async function openLimit(state: StateStore, maxBytes: number): Promise<Limit> {
  const [stored] = await state.get([key]);
  const before = z.number().catch(maxBytes).parse(stored?.value);
  // A higher one counts from the first object on, a lower one from the last.
  if (!stored || before < maxBytes) await state.each([{ key, value: maxBytes }]);
  let isLowered = maxBytes < before;
  return {
    isLowered: () => isLowered,
    checked: () => {
      if (!isLowered) return [];
      isLowered = false;
      return [{ key, value: maxBytes }];
    },
  };
}
