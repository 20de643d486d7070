/** The value, or a rejection as soon as the signal aborts: what hangs must not hang the stop. */
export async function untilAborted<T>(value: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason as Error);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
  try {
    // The race also takes what `value` rejects with later, so that it is nobody's unhandled rejection.
    return await Promise.race([aborted, value]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
