import {
  ConfigError,
  FencedError,
  PartialError,
  SluiceError,
  type Applicable,
  type Output,
  type TransformWorker,
} from "sluice";

/**
 * An `apply` that works on several events at once, and where one of them fails does not work again on those that
 * did not: a call that somebody is paid for is made once.
 */
export function applyTogether(
  transform: string,
  { maxConcurrent }: { readonly maxConcurrent: number },
  apply: (event: Applicable, run: { readonly signal: AbortSignal }) => Promise<Output>,
): TransformWorker["apply"] {
  /** Until they are handed over. By the event itself: nothing is kept longer than it. */
  const done = new WeakMap<Applicable, Output & object>();

  return async (events, run) => {
    const outputs: Output[] = events.map(() => null);
    const failures = new Map<number, SluiceError>();
    const others: unknown[] = [];
    const waiting = [...events.entries()];
    const work = async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        const [at, event] = next;
        try {
          run.signal.throwIfAborted();
          const output = done.get(event) ?? (await apply(event, run));
          if (typeof output === "object" && output !== null) done.set(event, output);
          outputs[at] = output;
        } catch (error) {
          const isOfAll = error instanceof ConfigError || error instanceof FencedError;
          if (error instanceof SluiceError && !isOfAll) failures.set(at, error);
          else others.push(error);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(maxConcurrent, events.length) }, work));
    run.signal.throwIfAborted();
    // Foreign, or of the whole connector: told as it is.
    if (others.length > 0) throw others[0];
    if (failures.size === 0) {
      for (const event of events) done.delete(event);
      return outputs;
    }
    const [first] = failures.values();
    if (events.length === 1) throw first;
    throw new PartialError(`${transform}: ${failures.size} of ${events.length} events failed.`, {
      code: "transform.partial",
      failures,
    });
  };
}
