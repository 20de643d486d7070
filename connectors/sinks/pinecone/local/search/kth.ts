/**
 * The k-th greatest of the values whose slot is selected, `-Infinity` when there are fewer. A heap of k
 * values, the least on top.
 */
export function kthGreatest(
  values: Float64Array,
  k: number,
  selected: Uint8Array | undefined,
): number {
  const heap = new Float64Array(k);
  let held = 0;
  for (let slot = 0; slot < values.length; slot++) {
    if (selected !== undefined && selected[slot] !== 1) continue;
    const value = values[slot] ?? 0;
    if (held < k) {
      rise(heap, held++, value);
    } else if (value > (heap[0] ?? 0)) sink(heap, held, value);
  }
  return held < k ? -Infinity : (heap[0] ?? -Infinity);
}

function rise(heap: Float64Array, from: number, value: number): void {
  let at = from;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if ((heap[parent] ?? 0) <= value) break;
    heap[at] = heap[parent] ?? 0;
    at = parent;
  }
  heap[at] = value;
}

function sink(heap: Float64Array, size: number, value: number): void {
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= size) break;
    if (child + 1 < size && (heap[child + 1] ?? 0) < (heap[child] ?? 0)) child++;
    if ((heap[child] ?? 0) >= value) break;
    heap[at] = heap[child] ?? 0;
    at = child;
  }
  heap[at] = value;
}
