/** Where a call fails: before it is made, or after, its answer lost. */
export interface Fault {
  /** Which call, counted from 1 over all methods. */
  readonly at: number;
  readonly when?: "before" | "after";
  readonly error: unknown;
}

/**
 * The same object, whose calls fail as told: a state, a store, an embedder, a client. `calls` names the
 * methods that were called so far: run once without faults, then fail at each of them in turn.
 */
export function faulty<T extends object>(
  real: T,
  faults: readonly Fault[] = [],
): { readonly faulty: T; readonly calls: readonly string[] } {
  const calls: string[] = [];
  const wrapped = new Proxy(real, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        const at = calls.push(String(name));
        const fault = faults.find((one) => one.at === at);
        if (fault && fault.when !== "after") return failing(value, fault.error);
        const answer: unknown = Reflect.apply(value, target, args);
        if (!fault) return answer;
        return Promise.resolve(answer).then(() => Promise.reject(fault.error as Error));
      };
    },
  });
  return { faulty: wrapped, calls };
}

/** As the method fails: by its promise, or at the first page of what it lists. */
function failing(method: object, error: unknown): unknown {
  const isGenerator = method.constructor.name === "AsyncGeneratorFunction";
  if (!isGenerator) return Promise.reject(error);
  return {
    [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }),
  };
}
