/**
 * Lets works that run at once share what they make: of those that want a key, the first makes it and
 * the others may wait for it.
 */
export function singleFlight<K, V>(): {
  /**
   * Before a work: `theirs` are the keys that others are making, each a promise of the value or of
   * `undefined` when they failed. `done` must be called with what was made, whatever happened.
   */
  readonly enter: (keys: readonly K[]) => {
    readonly theirs: ReadonlyMap<K, Promise<V | undefined>>;
    readonly done: (made: ReadonlyMap<K, V>) => void;
  };
} {
  const flying = new Map<K, Promise<V | undefined>>();
  return {
    enter(keys) {
      const theirs = new Map<K, Promise<V | undefined>>();
      const own: { readonly key: K; readonly land: (value: V | undefined) => void }[] = [];
      for (const key of keys) {
        const flight = flying.get(key);
        if (flight) theirs.set(key, flight);
        else flying.set(key, new Promise((land) => own.push({ key, land })));
      }
      return {
        theirs,
        done(made) {
          for (const { key, land } of own) {
            flying.delete(key);
            land(made.get(key));
          }
        },
      };
    },
  };
}
