/** Wakes what waits for a change of the file: at once within this process, within 20 ms across processes. */
export interface Wakeups {
  /** Resolves at the next `wake` of `name`, at any write of another connection, and on abort. May resolve for nothing. */
  readonly wait: (name: string, signal: AbortSignal) => Promise<void>;
  readonly wake: (name: string) => void;
  readonly wakeAll: () => void;
}

const pollMs = 20;

/** `version` changes when another connection has written: one poll a process, and only while somebody waits. */
export function openWakeups(version: () => number): Wakeups {
  const waiting = new Map<string, Set<() => void>>();
  let poll: NodeJS.Timeout | undefined;
  let seen = Number.NaN; // differs from any: what happened while nobody polled wakes the first who waits

  const wake = (name: string) => {
    for (const resume of waiting.get(name) ?? []) resume();
  };
  const wakeAll = () => {
    for (const name of waiting.keys()) wake(name);
  };
  const look = () => {
    const now = version();
    if (now === seen) return;
    seen = now;
    wakeAll();
  };

  return {
    wait: (name, signal) =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve();
        const resume = () => {
          signal.removeEventListener("abort", resume);
          const others = waiting.get(name);
          others?.delete(resume);
          if (others?.size === 0) waiting.delete(name);
          if (waiting.size === 0) {
            clearInterval(poll);
            poll = undefined;
          }
          resolve();
        };
        signal.addEventListener("abort", resume, { once: true });
        const others = waiting.get(name);
        if (others) others.add(resume);
        else waiting.set(name, new Set([resume]));
        poll ??= setInterval(look, pollMs);
      }),
    wake,
    wakeAll,
  };
}
