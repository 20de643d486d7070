/** Memory that readings share. Who waits for some holds none, so nobody waits for ever. */
export interface Budget {
  /** True when so many bytes could be had at once, and nobody waits for others. */
  readonly fits: (bytes: number) => boolean;
  readonly open: () => Share;
  /** Somebody who waits may go on now, for a reason that lies outside. */
  readonly look: () => void;
}

/** What one reading holds of it; nothing to begin with. */
export interface Share {
  /**
   * Makes it `bytes`: at once, where the answer is `undefined`. Else what it was is given back, and it is
   * `bytes` when the promise resolves, those who waited before first. Rejects on abort.
   */
  readonly resize: (bytes: number) => Promise<void> | undefined;
}

/** One share may be larger than `maxBytes`, while it is the only one. */
export function openBudget(run: {
  readonly maxBytes: number;
  /** While it is true nobody gets more. */
  readonly isHeld: () => boolean;
  readonly signal: AbortSignal;
}): Budget {
  const { maxBytes, isHeld, signal } = run;
  const waiting: { readonly bytes: number; readonly resume: () => void }[] = [];
  let used = 0;

  const hasRoom = (bytes: number) => used === 0 || used + bytes <= maxBytes;
  const look = () => {
    for (let [next] = waiting; next; [next] = waiting) {
      if (!signal.aborted && (isHeld() || !hasRoom(next.bytes))) return;
      waiting.shift();
      used += next.bytes;
      next.resume();
    }
  };
  signal.addEventListener("abort", look, { once: true });

  const open = (): Share => {
    let held = 0;
    const give = () => {
      used -= held;
      held = 0;
    };
    const wait = async (bytes: number) => {
      const turn = new Promise<void>((resume) => void waiting.push({ bytes, resume }));
      look();
      await turn;
      held = bytes;
      signal.throwIfAborted();
    };
    return {
      resize: (bytes) => {
        const isMore = bytes > held;
        give();
        if (!isMore || (waiting.length === 0 && !isHeld() && hasRoom(bytes))) {
          held = bytes;
          used += bytes;
          look();
          return undefined;
        }
        return wait(bytes);
      },
    };
  };
  return { fits: (bytes) => waiting.length === 0 && hasRoom(bytes), open, look };
}
