import type { IndexRow } from "../call.ts";
import type { Database } from "../database.ts";
import type { Namespace } from "../namespace.ts";
import { openArena } from "./arena.ts";
import { openMirror, type Mirror } from "./mirror.ts";

export interface Mirrors {
  /**
   * Lends the mirror of a namespace, up to date with the transaction that read `home`. `once`: one made for this
   * call only, where the transaction holds what may be rolled back.
   */
  readonly use: <T>(
    of: {
      readonly database: Database;
      readonly index: IndexRow;
      readonly home: Namespace;
      readonly once: boolean;
    },
    work: (mirror: Mirror) => T,
  ) => T;
  /** Bytes of the vectors held in memory. */
  readonly bytes: () => number;
  /** Gives all memory back. */
  readonly close: () => void;
}

const maxMirrors = 1_000;
/** What is in use before the namespaces searched longest ago give theirs back. */
const fullShare = 0.75;

/** Mirrors of the namespaces searched last, in at most about `maxBytes`. */
export function openMirrors(maxBytes: number): Mirrors {
  const arena = openArena(maxBytes);
  const mirrors = new Map<number, Mirror>();

  const makeRoom = (): void => {
    for (const [id, mirror] of mirrors) {
      if (mirrors.size < maxMirrors && arena.used() < fullShare * maxBytes) return;
      mirror.free();
      mirrors.delete(id);
    }
  };

  return {
    use: ({ database, index, home, once }, work) => {
      const known = once ? undefined : mirrors.get(home.id);
      if (!once) mirrors.delete(home.id); // to the end: the first is the one not used for longest
      makeRoom();
      const mirror = known ?? openMirror(arena, index);
      if (!once) mirrors.set(home.id, mirror);
      try {
        mirror.follow(database, home);
        return work(mirror);
      } finally {
        if (once) mirror.free();
      }
    },
    bytes: arena.used,
    close: () => {
      mirrors.clear();
      arena.close();
    },
  };
}
