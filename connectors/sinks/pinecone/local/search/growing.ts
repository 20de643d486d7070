/** `array`, or a copy of at least twice its length when index `at` is not in it yet. */
export function roomFor<T extends Float64Array | Uint8Array>(array: T, at: number): T {
  if (at < array.length) return array;
  const length = Math.max(at + 1, array.length * 2, 64);
  const larger = array instanceof Uint8Array ? new Uint8Array(length) : new Float64Array(length);
  larger.set(array);
  return larger as T; // the same class as was given
}
